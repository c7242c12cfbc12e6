import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type DevAgent, findDevAgent, startDevAgent, stopDevAgent } from '../../../lib/backend/nomad/dev-agent.ts'
import { nomadAnswers } from '../../../lib/backend/nomad/reachable.ts'
import { isAlive } from '../../../lib/backend/process-life.ts'
import { allProcesses, processStat } from '../../../lib/sandbox/processes.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { cli } from '../../fixtures/cli.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { allocationFolders, containersOf, mountsUnder } from '../../fixtures/nomad-leftovers.ts'
import { portWindow } from '../../fixtures/port-window.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.setTimeout(300_000)

/** A user who has no agent yet, and an address for one. */
async function user(t: Test) {
  const home = await mkdtemp(join(tmpdir(), 'slotpool-nomad-user-'))
  const env: NodeJS.ProcessEnv = { PATH: process.env.PATH, HOME: home, XDG_STATE_HOME: home }
  t.teardown(async () => {
    await stopDevAgent({ env })
    await rm(home, { recursive: true })
  })
  const ports = await portWindow()
  t.teardown(() => ports.close())
  return { env, folder: join(home, 'slotpool', 'nomad-agent'), address: `http://127.0.0.1:${ports.first}`, next: ports.first + 10 }
}

t.test('one agent, whoever starts it, that ends when it is told to', { skip }, async (t) => {
  const { env, folder, address, next } = await user(t)
  const start = () => startDevAgent({ address }, 'docker', { env })
  const starts = await Promise.all([start(), start(), start()])
  t.same(starts.map((one) => one.started).sort(), [false, false, true])
  const agent = findDevAgent(env) as DevAgent
  t.match(agent, { address, logFile: join(folder, 'agent.log') })
  t.ok(await nomadAnswers({ address }))
  await t.rejects(startDevAgent({ address: `http://localhost:${next}` }, 'docker', { env }), { code: 'CONFIG_INVALID' })

  process.kill(-agent.pid, 'SIGKILL')
  while (isAlive(agent)) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(findDevAgent(env), undefined)
  t.match(await start(), { started: true }, 'one that was killed is followed by another')

  const second = findDevAgent(env) as DevAgent
  t.same(await stopDevAgent({ env }), { stopped: true, address })
  t.notOk(isAlive(second))
  t.notOk(await nomadAnswers({ address }))
  t.notOk(existsSync(join(folder, 'data')))
  t.same(await mountsUnder(folder), [])
  t.same(await stopDevAgent({ env }), { stopped: false, address: undefined })
})

t.test('a command that needs one starts it; the next finds it', { skip }, async (t) => {
  const image = await builtImage(t)
  const { address } = await user(t)
  const { env, run } = await cli(t, {
    TERMINAL_ENV: 'nomad',
    TERMINAL_NOMAD_AUTOSTART: '1',
    TERMINAL_NOMAD_ADDRESS: address,
    TERMINAL_NOMAD_IMAGE: image,
  })
  t.teardown(() => stopDevAgent({ env }))
  t.match(await run(['nomad', 'status']), {
    code: 1,
    stdout: new RegExp(`^address +${address}: no agent answers\nstarted by slotpool +none\n$`),
  })
  const said = `slotpool: started a Nomad agent at ${address}; \`slotpool nomad stop\` ends it\n`
  t.match(await run(['exec', '--task-id', 'a', 'echo hello > file; cat file']), { code: 0, stdout: 'hello\n', stderr: said })
  t.match(await run(['exec', '--task-id', 'a', 'cat file']), { code: 0, stdout: 'hello\n', stderr: '' })
  t.match(await run(['nomad', 'start']), { code: 0, stdout: `${address}\n`, stderr: 'slotpool: a Nomad agent answers already\n' })
  const status = JSON.parse((await run(['nomad', 'status', '--json'])).stdout)
  const agent = findDevAgent(env) as DevAgent
  t.match(status, { address, answers: true, agent: { pid: agent.pid, address } })
  const allocations = await allocationFolders(join(env.XDG_STATE_HOME as string, 'slotpool', 'nomad-agent', 'data'))
  t.equal(allocations.length, 1)
  t.match(await run(['nomad', 'stop']), { code: 0, stdout: '', stderr: `slotpool: stopped the Nomad agent at ${address}\n` })
  t.notOk(isAlive(agent))
  for (const allocation of allocations) t.same(await containersOf(allocation), [], 'its containers are gone')
  t.match(await run(['nomad', 'stop']), { code: 0, stderr: 'slotpool: no Nomad agent runs that slotpool started\n' })

  await t.test('one that was killed leaves its plugins and its tasks, which go when it is stopped', async (t) => {
    t.match(await run(['exec', 'echo hello']), { code: 0, stdout: 'hello\n' })
    const killed = findDevAgent(env) as DevAgent
    const data = join(env.XDG_STATE_HOME as string, 'slotpool', 'nomad-agent', 'data')
    const [allocation = ''] = await allocationFolders(data)
    process.kill(killed.pid, 'SIGKILL')
    while (isAlive(killed)) await new Promise((resolve) => setTimeout(resolve, 5))
    t.equal((await containersOf(allocation)).length, 1)
    t.not((await ofSession(killed.pid)).length, 0)
    t.match(await run(['nomad', 'stop']), { code: 0, stderr: 'slotpool: no Nomad agent runs that slotpool started\n' })
    t.same(await containersOf(allocation), [])
    t.same(await ofSession(killed.pid), [])
    t.same(await mountsUnder(data), [])
  })
})

/** The processes of a session that still do something. */
async function ofSession(session: number): Promise<number[]> {
  const stats = await Promise.all((await allProcesses()).map((pid) => processStat(pid)))
  return stats.flatMap((stat) => (stat?.session === session && stat.state !== 'Z' ? [stat.pid] : []))
}

t.test('an agent of somebody else’s goes on', { skip }, async (t) => {
  const { address } = await nomadAgent(t)
  const { run } = await cli(t, { TERMINAL_NOMAD_ADDRESS: address })
  t.match(await run(['nomad', 'stop']), {
    code: 0,
    stderr: `slotpool: no Nomad agent runs that slotpool started; the one at ${address} was started by somebody else, and goes on\n`,
  })
  t.ok(await nomadAnswers({ address }))
  t.match(await run(['nomad', 'status']), { code: 0, stdout: /an agent answers\nstarted by slotpool +none\n$/ })
})
