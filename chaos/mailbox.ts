import { SlotpoolError } from '../lib/errors.ts'
import type { FromManager, ToManager } from './messages.ts'

type Question = Extract<FromManager, { type: 'ask' }>['question']

/** The manager's end of the way to its supervisor. */
export class Mailbox {
  readonly #asked = new Map<number, { resolve: (value: unknown) => void; reject: (error: SlotpoolError) => void }>()
  #nextId = 0

  constructor(onMessage: (message: Exclude<ToManager, { type: 'answer' }>) => void) {
    process.on('message', (message: ToManager) => {
      if (message.type !== 'answer') return onMessage(message)
      const asked = this.#asked.get(message.id)
      this.#asked.delete(message.id)
      if (message.error) asked?.reject(SlotpoolError.fromBody(message.error))
      else asked?.resolve(message.value)
    })
  }

  /** Resolves when the supervisor gets it even if this process is killed now. */
  send(message: FromManager): Promise<void> {
    return new Promise((resolve, reject) => {
      process.send?.(message, undefined, undefined, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** Resolves with the supervisor's answer. @throws {SlotpoolError} what it answers. */
  ask(question: Question): Promise<unknown> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      this.send({ type: 'ask', id, question }).catch(reject)
    })
  }
}
