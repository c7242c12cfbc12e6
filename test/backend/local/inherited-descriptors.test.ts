import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../../lib/package-root.ts'
import { testName } from '../../fixtures/test-name.ts'

t.test('a slot gets no descriptor of whoever started the pool', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-descriptors-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'secret'), 'not for slots', { mode: 0o600 })
  const env = { ...process.env, XDG_STATE_HOME: join(folder, 'state'), TERMINAL_POOL: testName(), TERMINAL_ENV: 'local' }
  const slotpool = (script: string): string => execFileSync('bash', ['-c', script], { cwd: packageRoot(), env, encoding: 'utf8' })
  t.teardown(() => slotpool('node bin/slotpool.js down'))
  // With a gap below it: what Node closes ends at the first one.
  const start = (command: string): string => slotpool(`node bin/slotpool.js exec '${command}' 99< "${folder}/secret" 2>&1; true`)
  t.match(start('cat <&99'), /99: Bad file descriptor/)
  t.same(
    start('cd /proc/self/fd; echo *')
      .trim()
      .split(' ')
      .filter((fd) => Number(fd) > 3),
    [],
    'nor do later ones',
  )
})
