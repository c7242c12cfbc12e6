import { connect, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { SlotpoolError } from '../errors.ts'
import { type Endpoint, socketAddress } from '../wire/endpoint.ts'
import { readErrorBody } from '../wire/error.ts'
import type { ChannelRequest } from '../wire/execution.ts'
import { FrameReader, type FrameType, frameType, jsonFrame } from '../wire/frames.ts'
import { httpHead } from '../wire/http-head.ts'
import { channelKeepAliveMs, channelName, maxJsonBytes, paths } from '../wire/protocol.ts'
import { answerTimeoutMs, connectTimeoutMs } from './patience.ts'
import { whenAborted } from './when-aborted.ts'

/** After so long without an execution a channel is closed. */
const idleTimeoutMs = 60_000
/** The longest answer to an upgrade that is a server's of ours. */
const maxAnswerBytes = 64 * 1024

const headEnd = Buffer.from('\r\n\r\n')
/** How every answer in HTTP begins. */
const answerStart = 'HTTP/1.1 '

/** What takes an answer as it comes. */
export interface ChannelSink {
  /**
   * Gets each piece of a frame's payload; `last` is true with the piece that completes it. What is thrown, or rejected, breaks the channel and is
   * the error of the answer. Until a promise is settled nothing more is read.
   */
  onFrame(type: FrameType, payload: Buffer, last: boolean): Promise<unknown> | undefined
}

/** An answer under way. */
interface Exchange {
  sink: ChannelSink
  /** The last frame was had. */
  ended: boolean
  resolve: () => void
  reject: (error: unknown) => void
}

/** One connection to a sandbox server over which executions are asked for, one after the other. */
export class ExecutionChannel {
  readonly #socket: Duplex
  readonly #frames = new FrameReader((type, payload, last) => this.#take(type, payload, last))
  #exchange: Exchange | undefined
  #waiting: Promise<unknown>[] = []
  #broken: Error | undefined

  /**
   * Connects, and has the server make a channel of it.
   *
   * @throws {SlotpoolError} what the server refused it with; `PROTOCOL_MISMATCH` when something else answered. What kept it from being connected
   *   is thrown as it is.
   */
  static open(endpoint: Endpoint, headers: Readonly<Record<string, string>>, signals: readonly AbortSignal[]): Promise<ExecutionChannel> {
    return new Promise((resolve, reject) => {
      const { host } = new URL(endpoint.url)
      const socket = endpoint.connect?.() ?? connect(socketAddress(endpoint))
      let answer: Buffer = Buffer.alloc(0)
      let timer = setTimeout(() => socket.destroy(timedOut('connect')), connectTimeoutMs)
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        for (const signal of signals) signal.removeEventListener('abort', abort)
        socket.removeAllListeners()
        act()
      }
      const fail = (error: unknown): void =>
        settle(() => {
          socket.on('error', () => {}).destroy()
          reject(error)
        })
      const abort = (): void => fail(signals.find(({ aborted }) => aborted)?.reason)
      const begin = (): void => {
        clearTimeout(timer)
        timer = setTimeout(() => socket.destroy(timedOut('answer')), answerTimeoutMs)
        socket.write(httpHead(`GET ${paths.channel} HTTP/1.1`, { host, connection: 'upgrade', upgrade: channelName, ...headers }))
      }
      socket.on('error', fail)
      if (socket instanceof Socket) socket.on('connect', begin).setNoDelay(true)
      else begin()
      socket.on('data', (chunk: Buffer) => {
        answer = answer.length === 0 ? chunk : Buffer.concat([answer, chunk])
        const at = answer.indexOf(headEnd)
        if (at !== -1 && answer.subarray(0, 13).toString('latin1') === 'HTTP/1.1 101 ') {
          const rest = answer.subarray(at + headEnd.length)
          settle(() => resolve(new ExecutionChannel(socket, rest)))
        } else if (answer.length > maxAnswerBytes) fail(refusal(answer))
      })
      socket.on('close', () => fail(isBroken(answer) ? closedError() : refusal(answer)))
      for (const signal of signals) whenAborted(signal, abort)
      if (signals.some(({ aborted }) => aborted)) abort()
    })
  }

  private constructor(socket: Duplex, rest: Buffer) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => {
      this.#broken ??= error
    })
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      // A whole answer stays one while its sink has yet to be done with it.
      if (!this.#exchange?.ended || this.#broken) this.#end(this.#broken ?? closedError())
    })
    if (socket instanceof Socket) {
      // A command may be silent for long, and its machine vanish meanwhile.
      socket.setKeepAlive(true, channelKeepAliveMs)
      socket.setTimeout(idleTimeoutMs, () => {
        if (!this.#exchange) socket.destroy()
      })
    }
    if (rest.length > 0) this.#read(rest)
  }

  /** Called once, when it can be used no more. */
  set onClose(callback: () => void) {
    this.#socket.once('close', callback)
  }

  get closed(): boolean {
    return this.#socket.destroyed
  }

  /** Whether it keeps the process alive. */
  set keepsAlive(does: boolean) {
    if (!(this.#socket instanceof Socket)) return
    if (does) this.#socket.ref()
    else this.#socket.unref()
  }

  /**
   * Sends a request and hands its answer to the sink; resolves when it was whole. What broke the channel, and what the sink throws, is thrown as it
   * is.
   *
   * @throws {SlotpoolError} `REQUEST_INVALID` for a request that is too long.
   */
  async ask(request: ChannelRequest, sink: ChannelSink, signal: AbortSignal | undefined): Promise<void> {
    const frame = jsonFrame(frameType.request, request)
    if (frame.length > maxJsonBytes) {
      throw new SlotpoolError('REQUEST_INVALID', `got a request of ${frame.length} bytes, expected at most ${maxJsonBytes}`)
    }
    const abort = (): void => this.break(signal?.reason as Error)
    if (signal) whenAborted(signal, abort)
    try {
      await new Promise<void>((resolve, reject) => {
        if (this.closed) throw this.#broken ?? closedError()
        this.#exchange = { sink, ended: false, resolve, reject }
        this.#socket.write(frame)
        if (signal?.aborted) abort()
      })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Closes it; an answer under way fails with that error. */
  break(error: Error): void {
    this.#broken ??= error
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk)
    } catch (error) {
      this.break(error as Error)
      return
    }
    if (this.#waiting.length > 0) this.#wait()
    else if (this.#exchange?.ended) this.#end()
  }

  #wait(): void {
    const all = Promise.all(this.#waiting)
    this.#waiting = []
    this.#socket.pause()
    all.then(
      () => {
        this.#socket.resume()
        if (this.#exchange?.ended) this.#end()
      },
      (error) => {
        this.break(error)
        this.#end(error)
      },
    )
  }

  /** @throws {RangeError} on a frame that nobody asked for. */
  #take(type: FrameType, payload: Buffer, last: boolean): void {
    const exchange = this.#exchange
    if (!exchange || exchange.ended || type === frameType.request) throw new RangeError(`a frame of type ${type} that was not asked for`)
    const handled = exchange.sink.onFrame(type, payload, last)
    if (handled) this.#waiting.push(handled)
    if (last && (type === frameType.end || type === frameType.error)) exchange.ended = true
  }

  #end(error?: Error): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    if (error) exchange?.reject(error)
    else exchange?.resolve()
  }
}

const closedError = (): Error => new Error('the connection was closed')

const timedOut = (what: 'connect' | 'answer'): Error =>
  Object.assign(new Error(`the connection was not ${what === 'connect' ? 'made' : 'answered'} in time`), { code: 'ETIMEDOUT' })

/** Whether an answer stops before its end, as far as there is one: what it would have been cannot be told from it. */
function isBroken(answer: Buffer): boolean {
  const text = answer.toString('latin1')
  if (!text.startsWith(answerStart)) return answerStart.startsWith(text)
  const at = text.indexOf('\r\n\r\n')
  if (at === -1) return true
  const length = /\r\ncontent-length: *([0-9]+)\r\n/i.exec(text.slice(0, at + 2))?.[1]
  return length !== undefined && answer.length - at - headEnd.length < Number(length)
}

function refusal(answer: Buffer): SlotpoolError {
  try {
    return readErrorBody(answer.subarray(answer.indexOf(headEnd)).toString('utf8'))
  } catch (cause) {
    const begins = JSON.stringify(answer.subarray(0, 100).toString('latin1'))
    return new SlotpoolError('PROTOCOL_MISMATCH', `got ${begins}, expected a channel of a sandbox server`, { cause })
  }
}
