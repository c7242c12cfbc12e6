import { closeSync, existsSync, writeSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { SlotpoolError } from '../errors.ts'
import { listenAddress, parseArguments } from './arguments.ts'
import { chooseLimits } from './choose-limits.ts'
import { systemClock } from './clock.ts'
import { chooseIsolation, endFirst } from './jail/choose.ts'
import { readTaskImage } from './jail/task-image.ts'
import { JailRuntime } from './jail-runtime.ts'
import { readProvenance } from './provenance.ts'
import { SandboxServer } from './server.ts'
import { giveSignsOfLife } from './sign-of-life.ts'
import { wipeSlotFolders } from './slot-folders.ts'

/** Whoever starts the server may pass a descriptor on which it says that it serves, or why it cannot. */
const readyFd = process.env.SLOTPOOL_READY_FD === undefined ? undefined : Number(process.env.SLOTPOOL_READY_FD)

const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))

function tellStarter(message: object): void {
  if (readyFd === undefined) return
  try {
    writeSync(readyFd, JSON.stringify(message))
    closeSync(readyFd)
  } catch (error) {
    // The starter is gone. The server stays: the next one finds it by its record.
    log.warn({ err: error }, 'nobody waited for the server to start')
  }
}

async function main(words: readonly string[]): Promise<void> {
  const args = parseArguments(words)
  const token = (await readFile(args['token-file'], 'utf8')).trim()
  const slotsFolder = join(args['state-dir'], 'slots')
  const pipesFolder = join(args['state-dir'], 'pipes')
  // What a server that was killed left behind: its jails ended with it.
  for (const folder of [slotsFolder, pipesFolder]) if (existsSync(folder)) await wipeSlotFolders(folder)
  // Where slots are kept apart by uid alone, their users pass through this folder; they cannot list it.
  await mkdir(slotsFolder, { recursive: true, mode: 0o711 })
  const taskImage =
    args['image-root'] && args['image-environment'] ? await readTaskImage(args['image-root'], args['image-environment']) : undefined
  const isolating = chooseIsolation({
    isolation: args.isolation,
    network: args.network,
    networkAllow: args['network-allow'],
    uidBase: args['uid-base'],
    folder: slotsFolder,
    systemFolder: join(args['state-dir'], 'system'),
    system: args.system,
    ...(taskImage === undefined ? {} : { taskImage }),
    ...(args['server-network'] === undefined ? {} : { serverNetwork: args['server-network'] }),
    mounts: args.mounts,
    keepTrial: true,
  })
  const kind = isolating.then((chosen) => chosen.kind)
  const limiting = chooseLimits({ asked: args.limits, kind, slotsFolder }).catch(async (error) => {
    // There is no server yet that would end it.
    await isolating.then(endFirst).catch(() => {})
    throw error
  })
  const { limits, groups, reason: groupsReason } = await limiting
  const isolation = await isolating
  const server = await SandboxServer.start({
    pool: args.pool,
    slots: args.slots,
    token,
    slotsFolder,
    isolation,
    limits,
    groups,
    mounts: args.mounts.map(({ target, readOnly, description }) => ({ target, readOnly, description })),
    ...(args['max-reuses'] === undefined ? {} : { maxReuses: args['max-reuses'] }),
    provenance: readProvenance(args['token-file']),
    runtime: new JailRuntime(pipesFolder),
    ...(args['idle-exit-ms'] === undefined ? {} : { idleExitMs: args['idle-exit-ms'] }),
    onIdle: () => void stop('nobody used this pool'),
    log,
  })

  let stopping: Promise<void> | undefined
  const stop = (why: string): Promise<void> => {
    log.info({ why }, 'shutting down')
    stopping ??= server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'could not shut down cleanly')
        process.exit(1)
      },
    )
    return stopping
  }
  let drained: Promise<void> | undefined
  process.on('SIGTERM', () => {
    // Who says it a second time does not want to wait.
    if (drained) void stop('SIGTERM')
    drained ??= server.drain(args['drain-ms']).then(() => stop('SIGTERM'))
  })
  process.on('SIGINT', () => void stop('SIGINT'))
  // The starter's terminal may go; the pool stays.
  process.on('SIGHUP', () => {})

  await server.listen(listenAddress(args.listen)).catch(async (error) => {
    // Its slots are there already.
    await server.close().catch((also) => log.error({ err: also }, 'could not shut down cleanly'))
    throw error
  })
  if (args['alive-file'] !== undefined) giveSignsOfLife(args['alive-file'], systemClock)
  const { slots: _, ...status } = server.status()
  log.info({ ...status, slots: args.slots, groupsReason, pid: process.pid }, 'serving')
  tellStarter({ ready: { bootId: server.bootId, pid: process.pid } })
}

/** Serves as its arguments say until it is told to end. What keeps it from serving is said to the starter and in the log, and ends the process. */
export async function serve(args: readonly string[]): Promise<void> {
  try {
    await main(args)
  } catch (error) {
    const ours = SlotpoolError.from(error)
    log.error({ err: error }, 'could not start')
    tellStarter({ error: ours })
    // Backends that have only the log find the reason in its last line.
    process.stderr.write(`slotpool-error: ${JSON.stringify(ours)}\n`)
    process.exit(1)
  }
}
