import { execFile } from 'node:child_process'
import { access, chown, constants, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { packageRoot } from '../../../lib/package-root.ts'
import { sourceArgs } from '../../fixtures/source.ts'
import { testName } from '../../fixtures/test-name.ts'

t.setTimeout(600_000)

/** Belongs to nobody. */
const uid = 1_400_000_000 + (process.pid % 100_000)

const asRoot = process.geteuid?.() === 0
const skip = !asRoot ? 'the other tests run as an ordinary user already' : await othersMayRead(packageRoot())

t.test('as an ordinary user', { skip }, async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'slotpool-user-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  await chown(home, uid, uid)
  const env = [`PATH=${process.env.PATH}`, `HOME=${home}`, `TMPDIR=${home}`, `XDG_STATE_HOME=${home}`, 'SLOTPOOL_BESIDE_ROOT=1']
  const asUser = (args: readonly string[]): [string, string[]] => [
    'setpriv',
    [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', 'env', '-i', ...env, process.execPath, ...args],
  ]
  const options = (isolation: string) => JSON.stringify({ env: 'local', pool: testName(), slots: 1, isolation })

  await t.test('a uid for each slot is refused, and nothing is left of the attempt', async (t) => {
    const [file, args] = asUser([...sourceArgs('test/fixtures/pool-process.ts'), options('uid'), '{"list":true}'])
    await t.rejects(promisify(execFile)(file, args, { cwd: packageRoot() }), {
      message: /ISOLATION_UNAVAILABLE.*only root can give each slot a uid/s,
    })
    await t.rejects(promisify(execFile)('pgrep', ['-u', String(uid), '-f', 'sandbox-server']), { code: 1 })
  })

  for (const file of ['test/backend/local/contract.test.ts', 'test/sandbox/isolation.test.ts']) {
    await t.spawn(...asUser(sourceArgs(file)), { cwd: packageRoot() }, file)
  }
})

/** Why an ordinary user could not run what is here, or false. */
async function othersMayRead(folder: string): Promise<string | false> {
  for (let path = folder; path !== dirname(path); path = dirname(path)) {
    const { stdout } = await promisify(execFile)('stat', ['-c', '%a', path])
    if ((Number.parseInt(stdout, 8) & 0o005) !== 0o005) return `${path} is closed to other users`
  }
  await access(process.execPath, constants.X_OK)
  return false
}
