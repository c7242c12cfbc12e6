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
  #ahead: Promise<ExecutionChannel | undefined> | undefined

  constructor(endpoint: Endpoint, headers: Readonly<Record<string, string>>) {
    this.#endpoint = endpoint
    this.#headers = headers
  }

  /** Opens one for an execution that is about to come. */
  openAhead(): void {
    if (this.#idle.length > 0 || this.#ahead || this.#closing.signal.aborted) return
    const opening = this.#connect().then(
      (channel) => {
        if (this.#ahead !== opening) return channel
        this.#ahead = undefined
        this.#keep(channel)
        return undefined
      },
      () => {
        if (this.#ahead === opening) this.#ahead = undefined
        return undefined
      },
    )
    this.#ahead = opening
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
      if (!channel.closed) this.#keep(channel)
    }
  }

  close(): void {
    const closed = new ChannelsClosed()
    this.#closing.abort(closed)
    for (const channel of this.#open) channel.break(closed)
  }

  async #take(signal: AbortSignal | undefined): Promise<ExecutionChannel> {
    this.#closing.signal.throwIfAborted()
    const idle = this.#idle.pop()
    if (idle) return idle
    const ahead = this.#ahead
    this.#ahead = undefined
    return (await ahead) ?? this.#connect(signal)
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
    channel.keepsAlive = false
    this.#idle.push(channel)
  }
}
