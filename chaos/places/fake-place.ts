import type { Backend } from '../../lib/backend/backend.ts'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import type { Script } from '../../lib/backend/fake/scripted-execution.ts'
import { delayFor, stallMs } from '../stall.ts'
import type { ContainerFault, Place, PlaceOptions } from './place.ts'

/** Containers in the supervisor, whose commands are answered by a script. */
export class FakePlace implements Place {
  readonly name = 'fake'
  readonly managersUse = 'supervisor'
  readonly options = {}
  readonly #backend: FakeBackend
  readonly faults: Place['faults']

  constructor({ slots }: PlaceOptions, script: Script) {
    this.#backend = new FakeBackend({ slots, script })
    const restart: ContainerFault = { inject: ({ id }) => this.#backend.restart(id) }
    const kill: ContainerFault = { inject: ({ id }) => this.#backend.kill(id) }
    const stall: ContainerFault = {
      inject: async ({ id }, extent) => {
        this.#backend.pause(id)
        await delayFor(stallMs(extent))
        this.#backend.resume(id)
      },
    }
    this.faults = { 'server-kill': restart, 'container-remove': kill, 'server-stall': stall }
  }

  get backend(): Backend {
    return this.#backend
  }

  async note(): Promise<void> {}

  async left(): Promise<string[]> {
    return (await this.#backend.list()).filter((one) => one.state !== 'dead').map(({ id }) => `container ${id}`)
  }

  async close(): Promise<void> {}
}
