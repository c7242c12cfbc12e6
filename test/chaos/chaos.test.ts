import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { faultsOf, type PlaceName } from '../../chaos/faults.ts'
import { processesWith } from '../../chaos/leftovers/processes.ts'
import { packageRoot } from '../../lib/package-root.ts'
import { builtImage } from '../fixtures/built-image.ts'
import { nomadAgent } from '../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../fixtures/require-service.ts'
import { sourceArgs } from '../fixtures/source.ts'

t.setTimeout(600_000)

interface Run {
  code: number | null
  stdout: string
  stderr: string
  /** What it has left in its folder for temporary files, and processes that were started with something in there. */
  left: string[]
}

/** A run of chaos that keeps its files in a folder of the test's own. With `until`, it is interrupted when it has said so. */
async function chaos(t: Test, args: readonly string[], settings: NodeJS.ProcessEnv = {}, until?: RegExp): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-chaos-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) if (!/^(TERMINAL|NOMAD)_|^NODE_OPTIONS$/.test(name)) env[name] = value
  const child = spawn(process.execPath, [...sourceArgs('chaos/main.ts'), ...args], {
    cwd: packageRoot(),
    env: { ...env, TMPDIR: folder, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
    if (until?.test(stderr)) child.kill('SIGINT')
  })
  const [[code], stdout] = await Promise.all([once(child, 'close') as Promise<[number | null]>, text(child.stdout)])
  // tsx keeps what it compiled there.
  const files = (await readdir(folder)).filter((name) => !name.startsWith('tsx-'))
  return { code, stdout, stderr, left: [...files, ...(await processesWith([folder]))] }
}

/** A short run with each fault at least once, and another seed each time. */
async function shortRun(t: Test, backend: PlaceName, settings: NodeJS.ProcessEnv = {}): Promise<void> {
  const run = await chaos(t, ['--backend', backend, '--tasks', '40', '--slots', '4'], settings)
  // The seed is in there, and what went wrong.
  if (run.code !== 0) t.comment(`${run.stdout}\n${run.stderr}`)
  t.equal(run.code, 0)
  for (const name of faultsOf(backend)) t.match(run.stdout, new RegExp(`^${name} +[0-9]+ +[0-9]+ `, 'm'))
  t.match(run.stdout, /^all tasks +[0-9]+ +40 /m)
  t.match(run.stdout, new RegExp(`^PASS +npm run chaos -- --backend ${backend} --tasks 40 .*--seed [0-9]+`, 'm'))
  t.notMatch(run.stdout, /^FAIL/m)
  t.same(run.left, [])
}

t.test('forty tasks on a fake backend', async (t) => shortRun(t, 'fake'))

t.test('forty tasks on local servers', async (t) => shortRun(t, 'local'))

/** Its faults are those of `local` and the engine's own, which tests of their own inject one by one. */
const byHand = process.env.SLOTPOOL_CHAOS === undefined && 'is tried with SLOTPOOL_CHAOS set, even to nothing'

t.test('forty tasks on Docker', { skip: byHand || (await dockerSkip()) }, async (t) => {
  await shortRun(t, 'docker', { TERMINAL_NOMAD_IMAGE: await builtImage(t) })
})

t.test('forty tasks on Nomad', { skip: byHand || (await nomadSkip()) || (await dockerSkip()) }, async (t) => {
  const image = await builtImage(t)
  const { address } = await nomadAgent(t)
  await shortRun(t, 'nomad', { TERMINAL_NOMAD_IMAGE: image, TERMINAL_NOMAD_ADDRESS: address })
})

t.test('an interrupted run leaves nothing behind', async (t) => {
  // So many that it does not end by itself.
  const run = await chaos(t, ['--backend', 'local', '--tasks', '600', '--slots', '4'], {}, /fault 1 of/)
  t.equal(run.code, 130, run.stderr)
  t.equal(run.stdout, '')
  t.same(run.left, [])
})

t.test('what nobody knows is refused before anything is made', async (t) => {
  const run = await chaos(t, ['--backend', 'podman'])
  t.equal(run.code, 2)
  t.match(run.stderr, /--backend: got podman, expected one of local, docker, nomad, fake\nusage: /)
  t.same(run.left, [])
})
