import type { SlotpoolError } from '../errors.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import type { ChannelRequest } from '../wire/execution.ts'
import { type ChannelSink, ExecutionChannel } from './execution-channel.ts'
import { whenAborted } from './when-aborted.ts'

/** How long an answer may take to arrive that its server gave before it was gone. Both ends are on one machine or in one network. */
const lastAnswerMs = 1_000

/** This end was closed, as happens when the server is known to be gone: then `gone` says so. */
export class ChannelsClosed extends Error {
  readonly gone: SlotpoolError | undefined

  constructor(gone: SlotpoolError | undefined) {
    super(gone?.message ?? 'this client was closed')
    this.gone = gone
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

  close(gone?: SlotpoolError): void {
    const closed = new ChannelsClosed(gone)
    this.#closing.abort(closed)
    for (const channel of this.#open) channel.break(closed)
  }

  /** As {@link close}, of a server that is gone: what it had answered by then may still be on its way, and is read. */
  closeAsGone(gone: SlotpoolError): void {
    const closed = new ChannelsClosed(gone)
    this.#closing.abort(closed)
    for (const channel of this.#idle.splice(0)) channel.break(closed)
    setTimeout(() => this.close(gone), lastAnswerMs).unref()
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
    if (this.#closing.signal.aborted) {
      channel.break(this.#closing.signal.reason)
      return
    }
    channel.keepsAlive = false
    this.#idle.push(channel)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    whenAborted(signal, () => reject(signal.reason))
    if (signal.aborted) reject(signal.reason)
  })
}
