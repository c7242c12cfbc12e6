import type { EventEmitter } from 'node:events'

/** Resolves when a stream that was full takes more, or is closed and takes nothing. No listener of it is left then. */
export function drained(stream: EventEmitter & { readonly destroyed: boolean }): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done)
      resolve()
    }
    stream.on('drain', done).on('close', done)
    if (stream.destroyed) done()
  })
}
