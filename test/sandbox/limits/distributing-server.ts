import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeBaseGroup } from '../../../lib/sandbox/limits/base-group.ts'
import { findHierarchies } from '../../../lib/sandbox/limits/hierarchies.ts'
import { ownedName } from '../../../lib/sandbox/limits/owned-name.ts'

/** A server in a group of version 2 that shares out a controller; prints as JSON where its own process was before, during and after. */
const [root, controller] = process.argv.slice(2) as [string, string]
const hierarchy = (await findHierarchies(root))[0]
if (!hierarchy) throw new Error(`nothing is mounted at ${root}`)
const place = () => readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)?.[1]
const shared = () => readFileSync(join(hierarchy.own, 'cgroup.subtree_control'), 'utf8').trim()
const before = { place: place(), shared: shared() }
const base = await makeBaseGroup(hierarchy, await ownedName(), [controller])
const during = { place: place(), shared: shared(), controllers: [...base.controllers] }
await base.close()
process.stdout.write(`${JSON.stringify({ before, during, after: { place: place(), shared: shared() } })}\n`)
