import { spawn } from 'node:child_process'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findDevAgent, startDevAgent, stopDevAgent } from '../../../lib/backend/nomad/dev-agent.ts'
import { here } from '../../../lib/backend/process-place.ts'
import { answering, deadAddress } from '../../fixtures/fake-nomad.ts'

/** A user's own machine, with this for `nomad`, or none. */
async function machine(t: Test, nomad?: string): Promise<NodeJS.ProcessEnv> {
  const home = t.testdir({ bin: {} })
  if (nomad !== undefined) {
    await writeFile(join(home, 'bin', 'nomad'), nomad)
    await chmod(join(home, 'bin', 'nomad'), 0o755)
  }
  return { PATH: `${join(home, 'bin')}:/usr/bin:/bin`, HOME: home, SECRET: 'x' }
}

t.test('only at a loopback address, and without TLS', async (t) => {
  const env = await machine(t)
  for (const address of ['http://192.0.2.1:4646', 'http://nomad.example:4646', 'https://localhost:4646', 'http://127.0.0.1.example:4646']) {
    await t.rejects(startDevAgent({ address }, 'docker', { env }), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`^TERMINAL_NOMAD_ADDRESS: got ${address}, expected http:// and a loopback address`),
    })
  }
})

t.test('none is started where one answers', async (t) => {
  const env = await machine(t, '#!/bin/sh\ntouch "$HOME/called"\n')
  const address = await answering(t, (_request, response) => response.end('{}'))
  t.match(await startDevAgent({ address }, 'docker', { env }), { started: false, address })
  await t.rejects(readFile(join(env.HOME as string, 'called')), { code: 'ENOENT' })
})

t.test('without the program', async (t) => {
  const env = await machine(t)
  const address = await deadAddress()
  await t.rejects(startDevAgent({ address }, 'docker', { env: { ...env, PATH: `${env.HOME}/bin:relative` } }), {
    code: 'NOMAD_UNAVAILABLE',
    retryable: false,
    message: `no Nomad agent answers at ${address}, and none can be started: nomad is not on PATH`,
  })
  t.equal(findDevAgent(env), undefined)
})

t.test('one that ends is an error with the end of its log, and leaves only that', async (t) => {
  const env = await machine(t, '#!/bin/sh\nprintf "%s\\n" "$*" "secret: $SECRET" "no port is free"\nexit 3\n')
  const address = await deadAddress()
  const folder = join(env.HOME as string, '.local', 'state', 'slotpool', 'nomad-agent')
  await t.rejects(startDevAgent({ address }, 'docker', { env }), {
    code: 'NOMAD_UNAVAILABLE',
    message: /ended before it answered at .*agent -dev -config \/.*\/nomad\/nomad-dev\.hcl -config .*secret: \nno port is free$/s,
    details: { address, logFile: join(folder, 'agent.log') },
  })
  t.equal(findDevAgent(env), undefined)
  t.match(await readFile(join(folder, 'agent.log'), 'utf8'), 'no port is free')
  await t.rejects(readFile(join(folder, 'agent.json')), { code: 'ENOENT' })
  await t.rejects(readFile(join(folder, 'agent-config.json')), { code: 'ENOENT' })
})

t.test('who gives up waiting leaves none', async (t) => {
  const env = await machine(t, '#!/bin/sh\necho here; exec sleep 600\n')
  const abort = new AbortController()
  const starting = startDevAgent({ address: await deadAddress() }, 'docker', { env, signal: abort.signal })
  starting.catch(() => {})
  let agent = findDevAgent(env)
  while (!agent) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    agent = findDevAgent(env)
  }
  abort.abort()
  await t.rejects(starting, { code: 'CANCELLED' })
  t.equal(findDevAgent(env), undefined)
  t.throws(() => process.kill(agent.pid, 0), { code: 'ESRCH' })
})

t.test('one that does not answer keeps its place until it is stopped', async (t) => {
  const env = await machine(t, '#!/bin/sh\nexec sleep 600\n')
  const folder = join(env.HOME as string, '.local', 'state', 'slotpool', 'nomad-agent')
  await mkdir(folder, { recursive: true })
  // This test stands in for an agent that hangs.
  const startTicks = Number((await readFile('/proc/self/stat', 'latin1')).replace(/^.*\) /s, '').split(' ')[19])
  const address = await deadAddress()
  await writeFile(
    join(folder, 'agent.json'),
    JSON.stringify({ pid: process.pid, startTicks, address, startedAt: new Date().toISOString() }),
  )
  await t.rejects(startDevAgent({ address }, 'docker', { env }), {
    code: 'NOMAD_UNAVAILABLE',
    message: new RegExp(`process ${process.pid}\\) does not answer; \`slotpool nomad stop\` ends it`),
  })
  const other = await deadAddress()
  await t.rejects(startDevAgent({ address: other }, 'docker', { env }), {
    code: 'CONFIG_INVALID',
    message: `slotpool's own agent runs at ${address}, and there is never a second one`,
  })
  const elsewhere = { machine: 'another', bootId: 'another', pidNamespace: 'pid:[1]' }
  const record = { pid: process.pid, startTicks, place: elsewhere, address, startedAt: new Date().toISOString() }
  await writeFile(join(folder, 'agent.json'), JSON.stringify(record))
  await t.rejects(stopDevAgent({ env }), { code: 'NOMAD_UNAVAILABLE', retryable: false, message: /another machine .*XDG_STATE_HOME/ })
  t.match(JSON.parse(await readFile(join(folder, 'agent.json'), 'utf8')), record, 'and keeps it')
  // Another process has its number now.
  await writeFile(
    join(folder, 'agent.json'),
    JSON.stringify({ pid: process.pid, startTicks: 1, address, startedAt: new Date().toISOString() }),
  )
  t.equal(findDevAgent(env), undefined)
  t.same(await stopDevAgent({ env }), { stopped: false, address: undefined })
})

t.test('what only has the pid of an agent that is no more is left alone', async (t) => {
  const env = await machine(t)
  const folder = join(env.HOME as string, '.local', 'state', 'slotpool', 'nomad-agent')
  await mkdir(folder, { recursive: true })
  const other = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  t.teardown(() => other.kill('SIGKILL'))
  const agent = { pid: other.pid as number, startTicks: 5, address: 'http://127.0.0.1:1', startedAt: '2026-01-01T00:00:00Z' }
  for (const place of [{ ...here(), bootId: 'of another boot' }, here()]) {
    await writeFile(join(folder, 'agent.json'), JSON.stringify({ ...agent, place }))
    t.match(await stopDevAgent({ env }), { stopped: false })
    t.equal(other.exitCode ?? other.signalCode, null)
    t.notMatch(await readFile(`/proc/${other.pid}/stat`, 'utf8'), / Z /)
  }
})
