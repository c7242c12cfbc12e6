import type { Backend, Container } from '../backend/backend.ts'
import { SandboxClient } from '../client/sandbox-client.ts'
import { SlotpoolError } from '../errors.ts'
import { type Clock, systemClock } from '../sandbox/clock.ts'

/** A container that serves, with a connection to it. */
export interface ReadyContainer {
  container: Container
  client: SandboxClient
}

/** The containers at one moment. */
export interface Look {
  all: Container[]
  /** Those that serve, lowest index first. */
  ready: ReadyContainer[]
  /** Those that live and have served this process: the ready ones, and those that no longer answer. A task may have its slot in any of them. */
  served: ReadyContainer[]
}

/** The pool's containers and one connection to each, kept while the container lives. */
export class Containers {
  /** What time it is for whoever waits for their answers. */
  readonly clock: Clock
  readonly #backend: Backend
  readonly #clients = new Map<string, SandboxClient>()
  /** Lists begun so far, and how many had been when a client was made: of its container an earlier list knows nothing, or what was before. */
  #lists = 0
  readonly #madeAfter = new WeakMap<SandboxClient, number>()
  /** As {@link Look.ready} was last: who waits for a change waits for another set of them. */
  #readyIds = ''
  readonly #onNew: (id: string) => void
  readonly #onGone: (id: string) => void
  readonly #onChange = new Set<() => void>()

  /** `onNew` is told of each container that serves this process for the first time, `onGone` when it is no more. */
  constructor(
    backend: Backend,
    clock: Clock = systemClock,
    onNew: (id: string) => void = () => {},
    onGone: (id: string) => void = () => {},
  ) {
    this.#backend = backend
    this.clock = clock
    this.#onNew = onNew
    this.#onGone = onGone
  }

  /** Whether it was there at the last look, and has served this process. */
  has(id: string): boolean {
    return this.#clients.has(id)
  }

  /** Every container as it is now. */
  async look(signal?: AbortSignal): Promise<Look> {
    const list = ++this.#lists
    return this.#connect(await this.#backend.list(signal), list)
  }

  /** Makes the pool have `count` live containers. */
  async grow(count: number, signal?: AbortSignal): Promise<Look> {
    const list = ++this.#lists
    return this.#connect(await this.#backend.grow(count, signal), list)
  }

  /** Removes a container, whoever has a slot there. */
  async remove(container: Container, signal?: AbortSignal): Promise<void> {
    await this.#backend.remove(container, signal)
    await this.look(signal)
  }

  /** Calls `onChange` when a look has seen other containers ready than the one before, until the returned function is called. */
  watch(onChange: () => void): () => void {
    this.#onChange.add(onChange)
    return () => void this.#onChange.delete(onChange)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
    this.#clients.clear()
  }

  /** Tells whoever has a slot in any of them that they are no more. */
  async closeAsRemoved(): Promise<void> {
    await Promise.all([...this.#clients].map(([id, client]) => client.close(lost(id, 'is gone: its pool was ended'))))
    this.#clients.clear()
  }

  async #connect(all: Container[], list: number): Promise<Look> {
    const byId = new Map(all.map((one) => [one.id, one]))
    for (const [id, client] of this.#clients) {
      if ((this.#madeAfter.get(client) as number) >= list) continue
      const container = byId.get(id)
      const lost = whyLost(id, container, client)
      if (!lost) continue
      this.#clients.delete(id)
      this.#onGone(id)
      await client.close(lost)
    }
    const ready: ReadyContainer[] = []
    const served: ReadyContainer[] = []
    // Asked for anew with every new container: a pool that ended took its token with it.
    let token: string | undefined
    for (const container of all) {
      let client = this.#clients.get(container.id)
      if (container.state !== 'ready' || !container.endpoint) {
        if (client && container.state !== 'dead') served.push({ container, client })
        continue
      }
      if (!client) {
        token ??= await this.#backend.token()
        // Another look may have connected to it meanwhile.
        client = this.#clients.get(container.id)
        if (!client) {
          client = new SandboxClient(container.endpoint, token)
          this.#clients.set(container.id, client)
          this.#madeAfter.set(client, this.#lists)
          this.#onNew(container.id)
        }
      }
      ready.push({ container, client })
      served.push({ container, client })
    }
    this.#noteReady(ready)
    return { all, ready, served }
  }

  #noteReady(ready: readonly ReadyContainer[]): void {
    const ids = ready.map((one) => one.container.id).join()
    if (ids === this.#readyIds) return
    this.#readyIds = ids
    for (const tell of [...this.#onChange]) tell()
  }
}

/** What whoever has a slot in a container learns when that slot is no more; undefined while it may be there. */
function whyLost(id: string, container: Container | undefined, { endpoint }: SandboxClient): SlotpoolError | undefined {
  if (!container || (container.state === 'dead' && !container.ending))
    return lost(id, `is gone${container?.reason ? `: ${container.reason}` : ''}`)
  const now = container.endpoint
  // An engine that starts a container anew may publish it elsewhere; its leases ended with the old server.
  const moved = now !== undefined && (now.url !== endpoint.url || now.socketPath !== endpoint.socketPath)
  return moved ? lost(id, 'was started anew') : undefined
}

function lost(id: string, what: string): SlotpoolError {
  return new SlotpoolError('LEASE_LOST', `the slot was in container ${id}, which ${what}`, { details: { containerId: id } })
}
