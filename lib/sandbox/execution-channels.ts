import { type IncomingMessage, STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../errors.ts'
import { checkCommand } from '../wire/command.ts'
import { checkEnv } from '../wire/env.ts'
import { type CheckedChannelRequest, channelRequest } from '../wire/execution.ts'
import { FrameReader, frameType, jsonFrame } from '../wire/frames.ts'
import { httpHead } from '../wire/http-head.ts'
import { channelKeepAliveMs, channelName, paths } from '../wire/protocol.ts'
import type { Execution } from './execution.ts'
import { streamExecution } from './execution-stream.ts'
import type { Executions } from './executions.ts'
import type { KeptExecution } from './kept-execution.ts'
import type { LeaseTable } from './lease-table.ts'
import { checked, parseJson, settled } from './requests.ts'

/** How long a reader may take to read the last that was written to it before its channel is closed. */
const lastReadMs = 1_000

/** What channels are opened for. */
export interface ChannelContext {
  leases: LeaseTable
  executions: Executions
  /** What every answer says of the server. */
  headers: Readonly<Record<string, string>>
  /** Called with each request to open one. @throws {SlotpoolError} what refuses it. */
  admit: (request: IncomingMessage) => Promise<void>
  /** What is answered for what went wrong. */
  failure: (error: unknown) => SlotpoolError
  /** Waited for before each request over one. */
  onRequest: () => Promise<void> | undefined
}

/**
 * The channels over which executions are asked for: connections that were upgraded from HTTP. A command's way through HTTP itself would cost
 * this process more than the command.
 */
export class ExecutionChannels {
  readonly #context: ChannelContext
  readonly #open = new Set<Duplex>()
  #closed = false

  constructor(context: ChannelContext) {
    this.#context = context
  }

  /** Makes a channel of a connection that asks for it, or refuses it in HTTP. */
  async upgrade(request: IncomingMessage, connection: Duplex, head: Buffer): Promise<void> {
    this.#open.add(connection)
    connection.on('error', () => connection.destroy())
    connection.on('close', () => this.#open.delete(connection))
    try {
      await this.#context.admit(request)
      if (request.url !== paths.channel || request.headers.upgrade?.toLowerCase() !== channelName) {
        const message = `got an upgrade of ${request.url?.split('?')[0]} to ${request.headers.upgrade}, expected one of ${paths.channel} to ${channelName}`
        throw new SlotpoolError('ROUTE_NOT_FOUND', message)
      }
    } catch (error) {
      const failure = this.#context.failure(error)
      const body = JSON.stringify({ error: failure })
      const headers = { connection: 'close', 'content-type': 'application/json; charset=utf-8', ...this.#context.headers }
      const head = httpHead(statusLine(failure.status), { ...headers, 'content-length': String(Buffer.byteLength(body)) })
      connection.end(`${head}${body}`, () => connection.destroy())
      return
    }
    if (this.#closed) {
      connection.destroy()
      return
    }
    connection.write(httpHead(statusLine(101), { connection: 'upgrade', upgrade: channelName, ...this.#context.headers }))
    if (connection instanceof Socket) connection.setNoDelay(true).setKeepAlive(true, channelKeepAliveMs)
    new ExecutionChannel(this.#context, connection).begin(head)
  }

  /** Closes all, when what was written to them has been read, or soon. */
  async close(): Promise<void> {
    this.#closed = true
    const over = [...this.#open].map((connection) => new Promise((resolve) => connection.once('close', resolve)))
    for (const connection of this.#open) connection.end(() => connection.destroy())
    await Promise.race([Promise.all(over), delay(lastReadMs, undefined, { ref: false })])
    this.destroy()
  }

  /** Breaks all, in the middle of whatever they carry. */
  destroy(): void {
    this.#closed = true
    for (const connection of this.#open) connection.destroy()
  }
}

const statusLine = (status: number): string => `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`

/** One connection: a request, its answer, and then the next. */
class ExecutionChannel {
  readonly #context: ChannelContext
  readonly #connection: Duplex
  readonly #frames = new FrameReader((type, payload, last) => this.#take(type, payload, last))
  #request: Buffer[] = []
  #serving = false
  /** What was asked for last, once it has been answered. */
  #answered: CheckedChannelRequest | undefined

  constructor(context: ChannelContext, connection: Duplex) {
    this.#context = context
    this.#connection = connection
  }

  begin(head: Buffer): void {
    this.#connection.on('data', (chunk: Buffer) => this.#read(chunk))
    // Who says no more does not read either: there is no half of a channel.
    this.#connection.on('end', () => this.#connection.destroy())
    if (head.length > 0) this.#read(head)
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk)
    } catch {
      this.#connection.destroy()
    }
  }

  /** @throws {RangeError} on what is no request, or comes out of turn. */
  #take(type: number, payload: Buffer, last: boolean): void {
    if (type !== frameType.request || this.#serving) throw new RangeError('got a frame out of turn')
    this.#request.push(payload)
    if (!last) return
    const request = this.#request.length === 1 ? payload : Buffer.concat(this.#request)
    this.#request = []
    this.#serving = true
    void this.#serve(request)
  }

  async #serve(request: Buffer): Promise<void> {
    try {
      const turn = this.#context.onRequest()
      if (turn) await turn
      const asked = checked(channelRequest, parseJson(request))
      // Whoever asks for the next has had the last: what was written may have been lost on its way.
      if (this.#answered) this.#acknowledge(this.#answered)
      await streamExecution(this.#execution(asked), asked, this.#connection)
      this.#answered = asked
    } catch (error) {
      this.#connection.write(jsonFrame(frameType.error, this.#context.failure(error)))
    }
    this.#serving = false
  }

  #acknowledge({ leaseId, executionId }: CheckedChannelRequest): void {
    const { leases, executions } = this.#context
    this.#answered = undefined
    const lease = leases.find(leaseId)
    if (lease) executions.acknowledge(lease, executionId)
  }

  #execution({ leaseId, executionId, request, attempt }: CheckedChannelRequest): Execution | KeptExecution {
    const { leases, executions } = this.#context
    if (!request) return executions.get(leases.get(leaseId), executionId)
    const lease = settled(leases.get(leaseId))
    checkCommand(request.command)
    checkEnv(request.env ?? {})
    return executions.start(lease, executionId, request, attempt)
  }
}
