import { access, chown, constants, mkdtemp, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.ts'
import { wipeSlotFolders } from '../../lib/sandbox/slot-folders.ts'
import { sourceArgs } from '../fixtures/source.ts'

t.setTimeout(300_000)

/** Belongs to nobody. */
const uid = 1_300_000_000 + (process.pid % 100_000)

const skip =
  process.geteuid?.() === 0 ? await othersMayRead(packageRoot()) : 'the test of the local backend runs as an ordinary user already'

t.test('ways out of a slot of an ordinary user’s', { skip, timeout: 300_000 }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'slotpool-user-'))
  // Attempts leave trees that are deeper than a path may be long.
  t.teardown(() => wipeSlotFolders(home))
  await chown(home, uid, uid)
  const env = [`PATH=${process.env.PATH}`, `HOME=${home}`, `TMPDIR=${home}`, `XDG_STATE_HOME=${home}`, 'SLOTPOOL_BESIDE_ROOT=1']
  const { SLOTPOOL_ESCAPE: chosen } = process.env
  if (chosen !== undefined) env.push(`SLOTPOOL_ESCAPE=${chosen}`)
  const become = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'env', '-i', ...env, process.execPath]
  await t.spawn('setpriv', [...become, ...sourceArgs('test/escape/local.test.ts')], { cwd: packageRoot() }, 'as an ordinary user')
})

/** Why an ordinary user could not run what is here, or false. */
async function othersMayRead(folder: string): Promise<string | false> {
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    if (((await stat(path)).mode & 0o005) !== 0o005) return `${path} is closed to other users`
  }
  await access(process.execPath, constants.X_OK)
  return false
}
