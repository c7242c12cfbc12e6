// A Docker engine for machines where none runs and no service manager starts one: containers of a CI, for instance.
//
//   node scripts/dockerd.js start     starts dockerd (as root) unless an engine answers already
//   node scripts/dockerd.js stop      ends the engine that `start` started, and no other
//
// As a module: `const engine = await startDockerd(); …; await engine.stop()`.
import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import Docker from 'dockerode'

const pidFile = '/run/slotpool-dockerd.pid'
const logFile = '/var/log/slotpool-dockerd.log'
const startTimeoutMs = 60_000
/** dockerd first ends its containers, ten seconds for each that does not listen. */
const stopTimeoutMs = 60_000

/**
 * Resolves when an engine answers at the default address.
 *
 * @returns {Promise<{ started: boolean, stop(): Promise<void> }>} `started` is false where one answered before; `stop` then does nothing.
 */
export async function startDockerd() {
  if (await answers()) return { started: false, stop: async () => {} }
  const log = openSync(logFile, 'w', 0o600)
  const child = spawn('dockerd', [], { detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  let ended
  child.once('error', (error) => {
    ended = error.code === 'ENOENT' ? 'dockerd is not on PATH: apt-get install docker.io iptables' : error.message
  })
  child.once('exit', (code, signal) => {
    ended ??= `dockerd ended with ${signal ?? code}:\n${readFileSync(logFile, 'utf8').split('\n').slice(-15).join('\n')}`
  })
  child.unref()
  const deadline = Date.now() + startTimeoutMs
  while (!(await answers())) {
    if (ended === undefined && Date.now() > deadline) ended = `dockerd does not answer after ${startTimeoutMs} ms; its log is ${logFile}`
    if (ended !== undefined) {
      if (child.pid !== undefined) await endProcess(child.pid)
      throw new Error(ended)
    }
    await delay(100)
  }
  writeFileSync(pidFile, `${child.pid} ${startTicks(child.pid)}\n`)
  keepBridgeAddress()
  return { started: true, stop: stopDockerd }
}

/**
 * A bridge whose address nobody set takes the lowest of its ports': when that container goes, the others send to an address that is gone until
 * their neighbour entries expire, which keeps answers back for minutes.
 */
function keepBridgeAddress() {
  // 02 in front: an address that is administered locally and of one interface.
  const address = ['02', ...randomBytes(5).toString('hex').match(/../g)].join(':')
  execFileSync('ip', ['link', 'set', 'dev', 'docker0', 'address', address])
}

/** Ends the engine that {@link startDockerd} started, in this process or an earlier one; does nothing when there is none. */
export async function stopDockerd() {
  let text
  try {
    text = readFileSync(pidFile, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return
    throw error
  }
  const [pid, ticks] = text.trim().split(' ')
  // A pid is used again; the time at which its process started tells whether it is still ours.
  if (startTicks(pid) === ticks) await endProcess(Number(pid))
  rmSync(pidFile, { force: true })
}

async function endProcess(pid) {
  const deadline = Date.now() + stopTimeoutMs
  const ticks = startTicks(pid)
  if (ticks === undefined) return
  process.kill(pid, 'SIGTERM')
  while (startTicks(pid) === ticks) {
    if (Date.now() > deadline)
      throw new Error(`dockerd (pid ${pid}) has not ended ${stopTimeoutMs} ms after SIGTERM; its log is ${logFile}`)
    await delay(50)
  }
}

/** Field 22 of /proc/PID/stat, counted behind the name, which may hold anything; undefined when there is no such process or it is a zombie. */
function startTicks(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

async function answers() {
  try {
    await new Docker({ socketPath: '/var/run/docker.sock', timeout: 5_000 }).ping()
    return true
  } catch {
    return false
  }
}

async function main(verb) {
  if (verb === 'start') {
    const { started } = await startDockerd()
    process.stderr.write(started ? `dockerd answers; its log is ${logFile}\n` : 'a Docker engine answers already\n')
  } else if (verb === 'stop') await stopDockerd()
  else {
    process.stderr.write('usage: node scripts/dockerd.js start|stop\n')
    process.exitCode = 2
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main(process.argv[2]).catch((error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  })
}
