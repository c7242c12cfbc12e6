import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseArguments } from '../../bench/arguments.ts'
import { UsageError } from '../../bench/command-line.ts'
import { descendants } from '../../bench/server-process.ts'
import { packageRoot } from '../../lib/package-root.ts'
import { allProcesses, type ProcessStat, processStat } from '../../lib/sandbox/processes.ts'
import { sourceArgs } from '../fixtures/source.ts'

/** A run of the benchmark that finds no peer but what every machine has, and keeps its files in a folder of the test's own. */
async function bench(t: Test, args: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-bench-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const env: NodeJS.ProcessEnv = {}
  for (const [name, value] of Object.entries(process.env)) if (!/^(TERMINAL|NOMAD|BENCH)_|^NODE_OPTIONS$/.test(name)) env[name] = value
  Object.assign(env, { TMPDIR: folder, DOCKER_HOST: 'unix:///nowhere/docker.sock', BENCH_PYTHON: '/nowhere/python' })
  const child = spawn(process.execPath, [...sourceArgs('bench/main.ts'), ...args], {
    cwd: packageRoot(),
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const stdout = text(child.stdout)
  let stderr = ''
  const heard = new EventEmitter()
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
    heard.emit('more')
  })
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  void ended.then(() => heard.emit('more'))
  /** Resolves when it has said this on stderr. */
  const said = async (line: string): Promise<void> => {
    while (!stderr.includes(line)) {
      if (child.exitCode !== null) throw new Error(`it ended before it said ${line}: ${stderr}`)
      await once(heard, 'more')
    }
  }
  // tsx keeps what it compiled there.
  const files = async () => (await readdir(folder)).filter((name) => !name.startsWith('tsx-'))
  return { child, folder, stdout, said, ended, files, stderr: () => stderr }
}

t.test('what is not there is named with the reason, and the others are measured', async (t) => {
  const json = join(await mkdtemp(join(tmpdir(), 'slotpool-bench-json-')), 'run.json')
  t.teardown(() => rm(dirname(json), { recursive: true, force: true }))
  const run = await bench(t, ['exec-latency', '--backend', 'local,docker', '--samples', '3', '--seed', '1', '--json', json])
  const [code] = await run.ended
  t.equal(code, 0, run.stderr())
  const stdout = await run.stdout
  for (const line of [
    /^sandbox-runtime: missing: BENCH_PEERS is not set; `npm install/m,
    /^SWE-ReX execute: missing: \/nowhere\/python is not on PATH|^SWE-ReX execute: missing: \/nowhere\/python cannot import swerex/m,
    /^docker exec: missing: Docker does not answer at unix:\/\/\/nowhere\/docker\.sock/m,
    /^docker run --rm: missing: /m,
    /^slotpool docker: DOCKER_UNAVAILABLE: /m,
    /^slotpool local +\d/m,
    /^spawn \(floor\) +\d/m,
    /lease in a pool of 1,000 containers/,
    /seed 1,/,
  ]) {
    t.match(stdout, line)
  }
  const { measures, judgements, skipped, machine } = JSON.parse(await readFile(json, 'utf8'))
  const systems = measures.map((one: { system: string }) => one.system)
  t.ok(systems.includes('slotpool local') && systems.includes('spawn (floor)'), 'the others were measured')
  t.notOk(
    systems.some((name: string) => /^(SWE|sandbox|docker|slotpool docker)/.test(name)),
    'nothing is said of what was not',
  )
  t.ok(skipped.some((one: { what: string }) => one.what === 'dockerode exec'))
  t.match(judgements, [{ goal: 'exec-p50', system: 'slotpool local' }, { goal: 'exec-p99' }])
  t.match(machine, { node: process.version, docker: null })
  t.same(await run.files(), [], 'and nothing is left')
})

t.test('an interrupted run leaves nothing behind', async (t) => {
  // So many that it does not end by itself.
  const run = await bench(t, ['exec-latency', '--backend', 'local', '--samples', '1000000000'])
  await run.said('exec-latency: measuring')
  const made = await madeBy(run.child, run.folder)
  t.ok(made.processes.length >= 4, `driver, server and jails run: ${made.processes.length} processes`)
  t.ok(existsSync(made.stateDir), 'slots have folders')
  run.child.kill('SIGINT')
  t.same(await run.ended, [130, null])
  t.same(await leftOf(made.processes), [], 'no process of it is left')
  t.notOk(existsSync(dirname(made.stateDir)), 'no slot is left')
  t.same(await run.files(), [], 'no file is left')
})

/** The processes that a run has started, its pool's server included, and the folder of that server's slots. */
async function madeBy(child: ChildProcess, folder: string) {
  const pids = await descendants(child.pid as number)
  let stateDir = ''
  for (const pid of await allProcesses()) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')).split('\0')
    // The server has left the run's own tree; it is told where its token is.
    if (!words.some((one) => one.startsWith(folder)) || !words.some((one) => one.endsWith('sandbox-server.js'))) continue
    pids.push(pid, ...(await descendants(pid)))
    stateDir = words[words.indexOf('--state-dir') + 1] ?? ''
  }
  const stats = await Promise.all([...new Set(pids)].map(processStat))
  return { stateDir, processes: stats.filter((one) => one !== undefined) }
}

/** Those that still run, when they have had some time: the compiler that tsx starts ends by itself a moment after it. */
async function leftOf(processes: readonly ProcessStat[]): Promise<ProcessStat[]> {
  for (const deadline = Date.now() + 5_000; ; await delay(20)) {
    const stats = await Promise.all(processes.map(({ pid }) => processStat(pid)))
    const left = processes.filter(({ startTicks }, at) => stats[at]?.startTicks === startTicks)
    if (left.length === 0 || Date.now() > deadline) return left
  }
}

t.test('what nobody knows is refused before anything is made', async (t) => {
  const run = await bench(t, ['exec-latncy'])
  t.same(await run.ended, [2, null])
  t.match(run.stderr(), 'got scenario exec-latncy, expected one of exec-latency, ')
  t.equal(await run.stdout, '')
  t.same(await run.files(), [])
  for (const [args, message] of [
    [['--backend', 'podman'], '--backend: got podman, expected one or more of local, docker, nomad'],
    [['--samples', '0'], '--samples: got 0, expected a whole number, at least 1'],
    [['--fast'], /^Unknown option '--fast'/],
  ] as const) {
    t.throws(() => parseArguments(args, ['exec-latency']), {
      constructor: UsageError,
      message: typeof message === 'string' ? RegExp(`^${message}`) : message,
    })
  }
})
