import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { NomadConnection, NomadDriver } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { agentIsHealthy } from '../../nomad/agent.ts'
import { NomadClient } from '../../nomad/client.ts'
import { listNodes, runsDriver } from '../../nomad/nodes.ts'
import { packageRoot } from '../../package-root.ts'
import { signalProcess } from '../../sandbox/processes.ts'
import { makeStateFolder, stateDir } from '../../state-dir.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { detachedProgram } from '../detached-program.ts'
import { findProgram } from '../find-program.ts'
import { withFolderLock } from '../folder-lock.ts'
import { isAlive } from '../process-life.ts'
import { here, seenFromHere } from '../process-place.ts'
import { type DevAgentRecord, readDevAgentRecord, writeDevAgentRecord } from './dev-agent-record.ts'
import { endLeftOfAgent } from './left-of-agent.ts'
import { nomadAnswers } from './reachable.ts'
import { unmountBelow } from './unmount-below.ts'

/** An agent on a quiet machine is up in two seconds. */
const startTimeoutMs = 60_000
/** So long after it is up its node may take to find out about the driver; without it the agent is up all the same. */
const driverTimeoutMs = 15_000
/** An agent that is asked to end ends its tasks first. */
const stopTimeoutMs = 60_000
const pauseMs = 50

/** What became of a start. */
export interface DevAgentStart {
  address: string
  /** False when one answered there already. */
  started: boolean
  logFile: string
}

/** What became of a stop: there may have been none of slotpool's, with one of somebody else's that goes on. */
export interface DevAgentStop {
  stopped: boolean
  /** Of the one that was stopped. */
  address: string | undefined
}

/** The agent that slotpool started, as far as it lives. */
export interface DevAgent extends DevAgentRecord {
  logFile: string
}

/**
 * The agent that slotpool started for this user; undefined when none lives.
 *
 * @throws {SlotpoolError} `NOMAD_UNAVAILABLE` when it was started on another machine or in another PID namespace, where nobody knows of it.
 */
export function findDevAgent(env: NodeJS.ProcessEnv = process.env): DevAgent | undefined {
  const folder = agentFolder(env)
  const record = readDevAgentRecord(folder)
  if (!record) return undefined
  const seen = seenFromHere(record.place)
  if (seen === 'unknown') throw startedElsewhere(folder, record)
  return seen === 'looked for' && isAlive(record) ? { ...record, logFile: logFile(folder) } : undefined
}

/**
 * Has a `nomad agent -dev` answer at a loopback address: starts one, which goes on when this process has ended, unless one answers there.
 *
 * @param connection where it is to answer; there is no TLS to it.
 * @param driver waited for, for a while, since nothing can be placed before its node knows of it.
 * @throws {SlotpoolError} `CONFIG_INVALID` for an address elsewhere, or where slotpool's own agent runs at another one; `NOMAD_UNAVAILABLE` when
 *   `nomad` is not there, or the agent did not come up: nothing of it is left then; `CANCELLED`.
 */
export async function startDevAgent(
  connection: NomadConnection,
  driver: NomadDriver,
  options: { env?: NodeJS.ProcessEnv; signal?: AbortSignal | undefined } = {},
): Promise<DevAgentStart> {
  const { env = process.env, signal } = options
  const listen = loopback(connection.address)
  const folder = agentFolder(env)
  makeStateFolder(folder, env)
  return withFolderLock(folder, signal, async () => {
    const found = { address: connection.address, logFile: logFile(folder), started: false }
    // Where one is about to answer it is ours, or holds the port that ours would want.
    if (await nomadAnswers(connection, signal)) return found
    const own = findDevAgent(env)
    if (own) refuseSecond(own, connection.address)
    await clear(folder, env)
    await begin(folder, connection, listen, env, signal)
    try {
      await awaitDriver(connection, driver, signal)
    } catch (error) {
      const own = findDevAgent(env)
      if (own) await end(own)
      await clear(folder, env)
      throw error
    }
    return { ...found, started: true }
  })
}

/**
 * Ends the agent that slotpool started, with all that runs on it, and removes what it kept but for its log. One that slotpool did not start goes on.
 *
 * @throws {SlotpoolError} `CANCELLED` before it began.
 */
export async function stopDevAgent(options: { env?: NodeJS.ProcessEnv; signal?: AbortSignal | undefined } = {}): Promise<DevAgentStop> {
  const { env = process.env, signal } = options
  const folder = agentFolder(env)
  if (!existsSync(folder)) return { stopped: false, address: undefined }
  return withFolderLock(folder, signal, async () => {
    const agent = findDevAgent(env)
    if (agent) await end(agent)
    await clear(folder, env)
    return { stopped: agent !== undefined, address: agent?.address }
  })
}

function startedElsewhere(folder: string, { place: { machine } }: DevAgentRecord): SlotpoolError {
  return new SlotpoolError(
    'NOMAD_UNAVAILABLE',
    `${folder} is that of an agent which slotpool started on another machine or in another PID namespace (machine ${machine}); expected a state folder ` +
      'of its own for each: set XDG_STATE_HOME, or remove the folder where that one is no more',
    { retryable: false, details: { folder, machine } },
  )
}

function agentFolder(env: NodeJS.ProcessEnv): string {
  return join(stateDir(env), 'nomad-agent')
}

function logFile(folder: string): string {
  return join(folder, 'agent.log')
}

function dataFolder(folder: string): string {
  return join(folder, 'data')
}

interface Listen {
  host: string
  port: number
}

/** @throws {SlotpoolError} `CONFIG_INVALID` when it is none. */
function loopback(address: string): Listen {
  const { protocol, hostname, port } = new URL(address)
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replace(/^\[|\]$/g, '')
  if (protocol === 'http:' && (host === '::1' || /^127(\.\d+){3}$/.test(host))) return { host, port: Number(port || 80) }
  throw new SlotpoolError(
    'CONFIG_INVALID',
    `TERMINAL_NOMAD_ADDRESS: got ${address}, expected http:// and a loopback address, such as http://localhost:4646: an agent is started for this machine alone`,
    { details: { variable: 'TERMINAL_NOMAD_ADDRESS', got: address, expected: 'a loopback address' } },
  )
}

function refuseSecond(own: DevAgent, address: string): never {
  const message =
    own.address === address
      ? `the agent that slotpool started at ${address} (process ${own.pid}) does not answer; \`slotpool nomad stop\` ends it, its log is ${own.logFile}`
      : `slotpool's own agent runs at ${own.address}, and there is never a second one; expected that as TERMINAL_NOMAD_ADDRESS, got ${address}, or \`slotpool nomad stop\` before`
  throw new SlotpoolError(own.address === address ? 'NOMAD_UNAVAILABLE' : 'CONFIG_INVALID', message, {
    details: { address: own.address, pid: own.pid },
  })
}

async function begin(
  folder: string,
  connection: NomadConnection,
  { host, port }: Listen,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { address } = connection
  const program = findProgram('nomad', env.PATH)
  if (program === undefined) {
    throw new SlotpoolError(
      'NOMAD_UNAVAILABLE',
      `no Nomad agent answers at ${address}, and none can be started: nomad is not on PATH; expected it to be installed`,
      { retryable: false, details: { address } },
    )
  }
  const data = dataFolder(folder)
  await mkdir(data, { recursive: true, mode: 0o711 })
  const own = join(folder, 'agent-config.json')
  await writeFile(
    own,
    JSON.stringify({
      data_dir: data,
      bind_addr: host,
      ports: { http: port, rpc: port + 1, serf: port + 2 },
      client: { alloc_mounts_dir: join(data, 'alloc_mounts') },
    }),
    { mode: 0o600 },
  )
  const configs = ['-config', join(packageRoot(), 'nomad', 'nomad-dev.hcl'), '-config', own]
  const log = await open(logFile(folder), 'w', 0o600)
  const agent = await detachedProgram([program, 'agent', '-dev', ...configs], { logFd: log.fd, env: agentEnvironment(env) })
    .catch((cause) => {
      throw new SlotpoolError('NOMAD_UNAVAILABLE', `${program} could not be started: ${(cause as Error).message}`, { cause })
    })
    .finally(() => log.close())
  const record: DevAgentRecord = {
    pid: agent.pid,
    startTicks: agent.startTicks,
    place: here(),
    address,
    startedAt: new Date().toISOString(),
  }
  try {
    await writeDevAgentRecord(folder, record)
    agent.begin()
    await awaitHealth(connection, { ...record, logFile: logFile(folder) }, signal)
    agent.child.unref()
  } catch (error) {
    await end(record)
    await clear(folder, env)
    throw error
  }
}

/** What Nomad and its Docker driver read; no other secret of this process is any business of the agent's. */
function agentEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = { HOME: env.HOME || homedir() }
  for (const name of ['PATH', 'TMPDIR', 'DOCKER_HOST', 'DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH']) {
    if (env[name] !== undefined) kept[name] = env[name]
  }
  return kept
}

async function awaitHealth(connection: NomadConnection, agent: DevAgent, signal: AbortSignal | undefined): Promise<void> {
  const client = new NomadClient(connection)
  try {
    for (const giveUpAt = performance.now() + startTimeoutMs; ; ) {
      if (await isUp(client, signal)) return
      const ended = !isAlive(agent)
      if (!ended && performance.now() < giveUpAt) {
        await pause(signal)
        continue
      }
      const said = await endOfLog(agent.logFile)
      throw new SlotpoolError(
        'NOMAD_UNAVAILABLE',
        `the Nomad agent ${ended ? 'ended before it answered' : `gave no answer within ${startTimeoutMs} ms`} at ${agent.address}; the end of its log, ${agent.logFile}: ${said}`,
        { retryable: !ended, details: { address: agent.address, logFile: agent.logFile } },
      )
    }
  } finally {
    client.close()
  }
}

async function isUp(client: NomadClient, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const { client: runs, server: leads } = await agentIsHealthy(client, signal, 2_000)
    return runs?.ok === true && leads?.ok === true
  } catch {
    throwIfCancelled(signal)
    return false
  }
}

/** Without it a task cannot be placed, and Nomad says so when one is tried. */
async function awaitDriver(connection: NomadConnection, driver: NomadDriver, signal: AbortSignal | undefined): Promise<void> {
  const name = driver === 'singularity' ? 'raw_exec' : driver
  const client = new NomadClient(connection)
  try {
    for (const giveUpAt = performance.now() + driverTimeoutMs; performance.now() < giveUpAt; await pause(signal)) {
      const nodes = await listNodes(client, {}, signal).then(
        ({ value }) => value,
        () => {
          throwIfCancelled(signal)
          return []
        },
      )
      if (nodes.some((node) => runsDriver(node, name))) return
    }
  } finally {
    client.close()
  }
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  await delay(pauseMs, undefined, signal ? { signal } : {}).catch(() => throwIfCancelled(signal))
}

/** So many lines of its log are told, and as many before them that say what went wrong. */
const lastLines = 5

async function endOfLog(path: string): Promise<string> {
  const lines = (await readFile(path, 'utf8').catch(() => '')).trim().split('\n')
  const last = lines.slice(-lastLines)
  // What went wrong is said before it shuts down.
  const wrong = lines.slice(0, -lastLines).filter((line) => /\[ERROR\]|\bfail(ed|ure)\b|already in use/.test(line))
  return [...wrong.slice(-lastLines), ...last].join('\n') || '(empty)'
}

/** Asked to end, an agent in -dev ends its tasks first. Its plugins are processes of its group. */
async function end(agent: DevAgentRecord): Promise<void> {
  const killAt = performance.now() + stopTimeoutMs
  if (isAlive(agent)) signalProcess(agent.pid, 'SIGTERM')
  while (isAlive(agent)) {
    if (performance.now() > killAt) signalProcess(-agent.pid, 'SIGKILL')
    await delay(pauseMs)
  }
}

/** Ends and removes what an agent that is gone left. */
async function clear(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const data = dataFolder(folder)
  await endLeftOfAgent(readDevAgentRecord(folder), data, env)
  await unmountBelow(data)
  await rm(data, { recursive: true, force: true })
  for (const name of ['agent.json', 'agent-config.json']) await rm(join(folder, name), { force: true })
}
