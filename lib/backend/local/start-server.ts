import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { sandboxServerBundle } from '../../package-root.ts'
import { termsArguments } from '../../pool-arguments.ts'
import { termsOf } from '../../pool-terms.ts'
import { toolPath } from '../../sandbox/tool-path.ts'
import { type DetachedProgram, detachedProgram } from '../detached-program.ts'
import type { HostMount } from '../host-mounts.ts'
import { here } from '../process-place.ts'
import { endForgotten, endServer } from './end-server.ts'
import { writeOwner } from './owner-record.ts'
import { serverLog } from './server-log.ts'
import type { ServerPlaces } from './server-places.ts'
import { aliveFile, type ServerRecord, writeRecord } from './server-record.ts'

/** A local pool that nobody used for so long ends itself. */
const idleExitMs = 15 * 60_000

/**
 * Starts a sandbox server that outlives this process, and resolves when it serves.
 *
 * @throws {SlotpoolError} what the server itself says, such as `ISOLATION_UNAVAILABLE`; else `SERVER_START_FAILED` with the end of its
 *   log; `CANCELLED`. Nothing of it is left then.
 */
export async function startServer(
  config: Config,
  places: ServerPlaces,
  tokenFile: string,
  mounts: readonly HostMount[],
  version: ServerRecord['version'],
  signal: AbortSignal | undefined,
): Promise<ServerRecord> {
  await endForgotten(places.stateDir)
  await mkdir(places.folder, { recursive: true, mode: 0o700 })
  await mkdir(places.stateDir, { recursive: true, mode: 0o711 })
  const logFile = serverLog(places.folder)
  const log = await open(logFile, 'a', 0o600)
  const program = [process.execPath, sandboxServerBundle(), ...serverArguments(config, places, tokenFile, mounts)]
  let server: DetachedProgram
  try {
    // Nothing of this process's environment: whatever secrets it holds are no business of the server.
    const env = { PATH: toolPath, SLOTPOOL_READY_FD: '3' }
    server = await detachedProgram(program, { logFd: log.fd, env, moreStdio: ['pipe'] })
  } catch (cause) {
    throw new SlotpoolError('SERVER_START_FAILED', `could not start ${process.execPath}: ${(cause as Error).message}`, { cause })
  } finally {
    await log.close()
  }
  const { pid, startTicks, child } = server
  const record: ServerRecord = {
    id: randomUUID(),
    pid,
    startTicks,
    place: here(),
    socketPath: places.socketPath,
    stateDir: places.stateDir,
    ready: false,
    version,
    shape: { image: null, slots: config.slots, isolation: config.isolation, network: config.network, ...termsOf(config) },
  }
  try {
    // Before it runs, so that it is found if this process dies now: no server runs without a record.
    if (isShared(places)) writeOwner(places.stateDir, { ...record, poolFolder: dirname(places.folder) })
    await writeRecord(places.folder, record)
    server.begin()
    await awaitReady(child.stdio[3] as Readable, logFile, signal)
    child.unref()
    const ready = { ...record, ready: true }
    await writeRecord(places.folder, ready)
    return ready
  } catch (error) {
    await endServer(places.folder, record)
    throw error
  }
}

/** Whether the server's own folder is where other pools have theirs, and not in the pool's. */
function isShared({ folder, stateDir }: ServerPlaces): boolean {
  return !stateDir.startsWith(`${folder}/`)
}

function serverArguments(config: Config, places: ServerPlaces, tokenFile: string, mounts: readonly HostMount[]): string[] {
  return [
    ...['--listen', `unix:${places.socketPath}`, '--token-file', tokenFile, '--state-dir', places.stateDir, '--pool', config.pool],
    ...['--slots', String(config.slots), '--isolation', config.isolation, '--network', config.network],
    ...termsArguments(config, mounts, 'host'),
    ...['--uid-base', String(places.uidBase), '--idle-exit-ms', String(idleExitMs), '--alive-file', aliveFile(places.folder)],
  ]
}

async function awaitReady(pipe: Readable, logFile: string, signal: AbortSignal | undefined): Promise<void> {
  const giveUp = (): void => void pipe.destroy(new SlotpoolError('CANCELLED', 'gave up waiting for the sandbox server to start'))
  signal?.addEventListener('abort', giveUp, { once: true })
  if (signal?.aborted) giveUp()
  try {
    const said = await text(pipe)
    const message = said === '' ? {} : (JSON.parse(said) as { ready?: object; error?: Parameters<typeof SlotpoolError.fromBody>[0] })
    if (message.error) throw SlotpoolError.fromBody(message.error)
    if (message.ready) return
    const tail = (await readFile(logFile, 'utf8').catch(() => '')).trim().split('\n').slice(-5).join('\n')
    throw new SlotpoolError('SERVER_START_FAILED', `the sandbox server ended before it served; the end of its log: ${tail || '(empty)'}`)
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
}
