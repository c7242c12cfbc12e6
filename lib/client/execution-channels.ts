import type { Endpoint } from '../wire/endpoint.ts'
import type { ChannelRequest } from '../wire/execution.ts'
import { type ChannelSink, ExecutionChannel } from './execution-channel.ts'

/** This end was closed, as happens when the server is known to be gone. */
export class ChannelsClosed extends Error {
  constructor() {
    super('this client was closed')
  }
}

/** The channels to one sandbox server: as many as there are executions under way at once, each kept for the next. */
export class ExecutionChannels {
  readonly #endpoint: Endpoint
  readonly #headers: Readonly<Record<string, string>>
  readonly #open = new Set<ExecutionChannel>()
  readonly #closing = new AbortController()
  /** The one that was used last is used first: what it needs is still in the processor's caches. */
  readonly #idle: ExecutionChannel[] = []
  #ahead: Promise<void> | undefined

  constructor(endpoint: Endpoint, headers: Readonly<Record<string, string>>) {
    this.#endpoint = endpoint
    this.#headers = headers
  }

  /** Opens one for an execution that is about to come. */
  openAhead(): void {
    if (this.#idle.length > 0 || this.#ahead || this.#closing.signal.aborted) return
    this.#ahead = this.#connect()
      // What keeps it from being opened is said to the execution that then opens its own.
      .then(
        (channel) => this.#keep(channel),
        () => {},
      )
      .finally(() => {
        this.#ahead = undefined
      })
  }

  /**
   * Asks for an execution and hands its answer to the sink; resolves when it was whole. `onSent` is called when the server may have it from then
   * on.
   *
   * @throws {SlotpoolError} as {@link ExecutionChannel.open} and `ask`. What broke a connection is thrown as it is, {@link ChannelsClosed} after a close.
   */
  async ask(request: ChannelRequest, sink: ChannelSink, signal: AbortSignal | undefined, onSent: () => void): Promise<void> {
    const channel = await this.#take(signal)
    channel.keepsAlive = true
    onSent()
    try {
      await channel.ask(request, sink, signal)
    } finally {
      this.#keep(channel)
    }
  }

  close(): void {
    const closed = new ChannelsClosed()
    this.#closing.abort(closed)
    for (const channel of this.#open) channel.break(closed)
  }

  async #take(signal: AbortSignal | undefined): Promise<ExecutionChannel> {
    this.#closing.signal.throwIfAborted()
    if (this.#idle.length === 0 && this.#ahead) await (signal ? Promise.race([this.#ahead, aborted(signal)]) : this.#ahead)
    return this.#idle.pop() ?? this.#connect(signal)
  }

  async #connect(signal?: AbortSignal): Promise<ExecutionChannel> {
    const closing = this.#closing.signal
    const channel = await ExecutionChannel.open(this.#endpoint, this.#headers, signal ? [signal, closing] : [closing])
    this.#open.add(channel)
    channel.onClose = () => {
      this.#open.delete(channel)
      const at = this.#idle.indexOf(channel)
      if (at !== -1) this.#idle.splice(at, 1)
    }
    return channel
  }

  #keep(channel: ExecutionChannel): void {
    if (channel.closed) return
    channel.keepsAlive = false
    this.#idle.push(channel)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    if (signal.aborted) reject(signal.reason)
  })
}
