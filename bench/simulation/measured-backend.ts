import type { Backend, Container, PoolShape } from 'slotpool'
import type { FakeBackend } from 'slotpool/fake'

/** Shares a {@link FakeBackend} between managers, and notes what is asked of it. */
export class MeasuredBackend implements Backend {
  readonly name = 'fake'
  readonly #backend: FakeBackend
  readonly #onGrow: (count: number) => void
  readonly #onRemove: () => void

  constructor(backend: FakeBackend, told: { onGrow: (count: number) => void; onRemove: () => void }) {
    this.#backend = backend
    this.#onGrow = told.onGrow
    this.#onRemove = told.onRemove
  }

  token(): Promise<string> {
    return this.#backend.token()
  }

  list(): Promise<Container[]> {
    return this.#backend.list()
  }

  shape(): Promise<PoolShape | null> {
    return this.#backend.shape()
  }

  grow(count: number, signal?: AbortSignal): Promise<Container[]> {
    this.#onGrow(count)
    return this.#backend.grow(count, signal)
  }

  remove(container: Container): Promise<void> {
    this.#onRemove()
    return this.#backend.remove(container)
  }

  watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    return this.#backend.watch(onChange, signal)
  }

  destroy(): Promise<void> {
    return this.#backend.destroy()
  }

  close(): Promise<void> {
    return this.#backend.close()
  }
}
