import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import type { Check } from '../../../lib/cli/doctor/check.ts'
import { packageRoot } from '../../../lib/package-root.ts'
import { sourceLoader, sourcePath } from '../../fixtures/source.ts'

/** The overflow user: it owns nothing and is in no group. */
const nobody = { uid: 65534, gid: 65534 }

const mayRead = (): boolean =>
  spawnSync('test', ['-x', join(packageRoot(), 'lib', 'cli', 'doctor')], { ...nobody, cwd: '/', stdio: 'ignore' }).status === 0

const skip =
  process.geteuid?.() !== 0 ? 'needs root, to become somebody else' : !mayRead() && 'needs sources that every user of this machine may read'

const script = `
const { loadConfig } = await import('${sourcePath('lib/config.ts')}')
const { runChecks } = await import('${sourcePath('lib/cli/doctor/run-checks.ts')}')
console.log(JSON.stringify(await runChecks(loadConfig({}, {}))))
`

t.test('checks by a user who may do little', { skip, timeout: 120_000 }, async (t) => {
  // The path of a socket must be short, and others must get to it.
  const folder = mkdtempSync('/tmp/slotpool-test-')
  t.teardown(() => rmSync(folder, { recursive: true }))
  chmodSync(folder, 0o755)
  const socket = join(folder, 'docker.sock')
  const engine = createServer().listen(socket)
  t.teardown(() => engine.close())
  await once(engine, 'listening')
  chmodSync(socket, 0o600)

  const args = [...sourceLoader, '--input-type=module', '--eval', script]
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', TMPDIR: '/tmp', DOCKER_HOST: `unix://${socket}` }
  const { stdout } = await promisify(execFile)(process.execPath, args, { ...nobody, cwd: packageRoot(), env })
  const checks = new Map((JSON.parse(stdout) as Check[]).map((check) => [check.name, check]))
  t.match(checks.get('docker'), {
    found: false,
    detail: /this user may not use the socket$/,
    mend: 'sudo usermod -aG docker "$USER" && newgrp docker',
  })
  t.notMatch(checks.get('bubblewrap')?.detail, /as root|isolation uid/)
  t.match(checks.get('node'), { found: true })
})
