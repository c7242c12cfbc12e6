import type { Backend, Container } from '../backend/backend.ts'
import { SandboxClient } from '../client/sandbox-client.ts'

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
  readonly #backend: Backend
  readonly #clients = new Map<string, SandboxClient>()

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /** Every container as it is now. */
  async look(signal?: AbortSignal): Promise<Look> {
    return this.#connect(await this.#backend.list(signal))
  }

  /** Makes the pool have `count` live containers. */
  async grow(count: number, signal?: AbortSignal): Promise<Look> {
    return this.#connect(await this.#backend.grow(count, signal))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
    this.#clients.clear()
  }

  async #connect(all: Container[]): Promise<Look> {
    const alive = new Set(all.filter((one) => one.state !== 'dead').map((one) => one.id))
    for (const [id, client] of this.#clients) {
      if (alive.has(id)) continue
      this.#clients.delete(id)
      await client.close()
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
        client = this.#clients.get(container.id) ?? new SandboxClient(container.endpoint, token)
        this.#clients.set(container.id, client)
      }
      ready.push({ container, client })
      served.push({ container, client })
    }
    return { all, ready, served }
  }
}
