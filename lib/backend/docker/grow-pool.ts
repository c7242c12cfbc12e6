import { SlotpoolError } from '../../errors.ts'
import type { Container } from '../backend.ts'
import { throwIfCancelled } from '../cancelled.ts'
import { freeIndexes } from '../free-indexes.ts'
import { Backoff } from './backoff.ts'
import { containerName } from './container-spec.ts'
import { isLive, type PoolContainer } from './pool-containers.ts'
import { undoAndThrow } from './undo-and-throw.ts'

/** What growing needs of an engine and a pool. */
export interface GrowContext {
  pool: string
  list(): Promise<PoolContainer[]>
  /** Of these, the ones that nobody will start any more. */
  findHalfMade(containers: readonly PoolContainer[]): Promise<PoolContainer[]>
  describe(container: PoolContainer): Promise<Container>
  /** Resolves with an id when the container serves, with undefined when the index is taken; leaves nothing when it rejects. */
  make(index: number, signal: AbortSignal): Promise<string | undefined>
  remove(id: string): Promise<void>
  /** Takes back what was made, as far as nobody uses it. */
  undo(ids: readonly string[]): Promise<void>
}

/** Starting a container takes processor time on both ends; more at once makes each slower than the engine's patience. */
const startsAtOnce = 4
/** Its maker gives a container up before this, so one that is still silent has lost its maker. */
const silentTimeoutMs = 75_000

/** Makes the pool have `count` live containers and resolves with all when that many are ready. See `Backend.grow`. */
export async function growPool(context: GrowContext, count: number, signal?: AbortSignal): Promise<Container[]> {
  const made: string[] = []
  try {
    return await reach(context, count, made, signal)
  } catch (error) {
    return undoAndThrow(error, () => context.undo(made))
  }
}

async function reach(context: GrowContext, count: number, made: string[], signal: AbortSignal | undefined): Promise<Container[]> {
  const backoff = new Backoff()
  const silentSince = new Map<string, number>()
  for (;;) {
    throwIfCancelled(signal)
    const found = await context.list()
    const gone = [...found.filter((one) => !isLive(one)), ...(await context.findHalfMade(found))]
    await Promise.all(gone.map((one) => context.remove(one.id)))
    const live = found.filter((one) => !gone.includes(one))
    if (live.length < count) {
      const before = made.length
      await makeAll(context, freeIndexes(new Set(live.map((one) => one.index)), count - live.length), made, signal)
      // Made some: look at once. All taken by others: give them time.
      if (made.length > before) continue
    } else {
      const described = await Promise.all(live.map((one) => context.describe(one)))
      if (described.filter((one) => one.state === 'ready').length >= count) return described
      for (const one of described) refuseSilence(context.pool, one, silentSince)
    }
    await backoff.pause(signal)
  }
}

/** Several at once; the first failure ends the others. */
async function makeAll(context: GrowContext, indexes: number[], made: string[], signal: AbortSignal | undefined): Promise<void> {
  const stop = new AbortController()
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const failures: unknown[] = []
  const work = async () => {
    for (let index = indexes.shift(); index !== undefined && failures.length === 0; index = indexes.shift()) {
      try {
        const id = await context.make(index, either)
        if (id !== undefined) made.push(id)
      } catch (error) {
        failures.push(error)
        stop.abort()
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(startsAtOnce, indexes.length) }, work))
  if (failures.length > 0) throw failures[0]
}

function refuseSilence(pool: string, one: Container, silentSince: Map<string, number>): void {
  if (one.state !== 'starting') return
  const since = silentSince.get(one.id) ?? performance.now()
  silentSince.set(one.id, since)
  if (performance.now() - since < silentTimeoutMs) return
  const name = containerName(pool, one.index)
  throw new SlotpoolError(
    'CONTAINER_FAILED',
    `container ${name} has not become ready for ${silentTimeoutMs} ms: ${one.reason}. \`docker logs ${name}\` shows more, ` +
      `\`docker rm -fv ${name}\` lets the pool make a new one`,
    { details: { container: one.id } },
  )
}
