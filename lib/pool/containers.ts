import type { Backend, Container } from '../backend/backend.ts'
import { SandboxClient } from '../client/sandbox-client.ts'

/** A container that serves, with a connection to it. */
export interface ReadyContainer {
  container: Container
  client: SandboxClient
}

/** The pool's containers and one connection to each, kept while the container lives. */
export class Containers {
  readonly #backend: Backend
  readonly #clients = new Map<string, SandboxClient>()

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /** Every container as it is now, and those of them that serve, lowest index first. */
  async look(signal?: AbortSignal): Promise<{ all: Container[]; ready: ReadyContainer[] }> {
    return this.#connect(await this.#backend.list(signal))
  }

  /** Makes the pool have `count` live containers. */
  async grow(count: number, signal?: AbortSignal): Promise<{ all: Container[]; ready: ReadyContainer[] }> {
    return this.#connect(await this.#backend.grow(count, signal))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
    this.#clients.clear()
  }

  async #connect(all: Container[]): Promise<{ all: Container[]; ready: ReadyContainer[] }> {
    const alive = new Set(all.filter((one) => one.state !== 'dead').map((one) => one.id))
    for (const [id, client] of this.#clients) {
      if (alive.has(id)) continue
      this.#clients.delete(id)
      await client.close()
    }
    const ready: ReadyContainer[] = []
    // Asked for anew with every new container: a pool that ended took its token with it.
    let token: string | undefined
    for (const container of all) {
      if (container.state !== 'ready' || !container.endpoint) continue
      let client = this.#clients.get(container.id)
      if (!client) {
        token ??= await this.#backend.token()
        // Another look may have connected to it meanwhile.
        client = this.#clients.get(container.id) ?? new SandboxClient(container.endpoint, token)
        this.#clients.set(container.id, client)
      }
      ready.push({ container, client })
    }
    return { all, ready }
  }
}
