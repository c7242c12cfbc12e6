import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chooseIsolation, endFirst } from '../../../lib/sandbox/jail/choose.ts'
import { makeBaseGroup } from '../../../lib/sandbox/limits/base-group.ts'
import { findHierarchies } from '../../../lib/sandbox/limits/hierarchies.ts'
import { ownedName } from '../../../lib/sandbox/limits/owned-name.ts'
import { wipeSlotFolders } from '../../../lib/sandbox/slot-folders.ts'

/**
 * A server in a group of version 2 that shares out a controller. The jail in which it tried its isolation is in that group, too. Prints as
 * JSON where its own process was before, during and after.
 */
const [root, controller] = process.argv.slice(2) as [string, string]
const folder = mkdtempSync(join(tmpdir(), 'slotpool-distributing-'))
const chosen = await chooseIsolation({
  ...{ isolation: 'jail', network: 'host', uidBase: 1_600_000_000, folder, systemFolder: join(folder, 'system'), keepTrial: true },
})
if (!chosen.first) throw new Error('got no jail, expected the one of the trial')
const hierarchy = (await findHierarchies(root))[0]
if (!hierarchy) throw new Error(`nothing is mounted at ${root}`)
const place = () => readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1]
const shared = () => readFileSync(join(hierarchy.own, 'cgroup.subtree_control'), 'utf8').trim()
const before = { place: place(), shared: shared() }
const base = await makeBaseGroup(hierarchy, await ownedName(), [controller])
const during = { place: place(), shared: shared(), controllers: [...base.controllers] }
await endFirst(chosen)
await base.close()
process.stdout.write(`${JSON.stringify({ before, during, after: { place: place(), shared: shared() } })}\n`)
await wipeSlotFolders(folder)
