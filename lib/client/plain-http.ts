import { connect, type Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import { socketAddress } from '../wire/endpoint.ts'

/**
 * As much of undici as a command line needs to speak to a sandbox server. The build puts it in undici's place there: to load that, and to
 * compile the WebAssembly by which it reads answers, takes longer than all else that `slotpool exec` does. Of HTTP/1.1 it knows what such a
 * server says; files are not sent or fetched by it.
 */
export class Pool {
  readonly #address: { path: string } | { host: string; port: number }
  readonly #host: string
  readonly #connectTimeoutMs: number
  readonly #all = new Set<Wire>()
  readonly #idle: Wire[] = []
  destroyed = false

  constructor(url: string, { connect }: { connect: { timeout: number; socketPath?: string } }) {
    const { protocol, host } = new URL(url)
    if (protocol !== 'http:') throw new TypeError(`got ${url}, expected an http:// address`)
    this.#host = host
    this.#connectTimeoutMs = connect.timeout
    this.#address = socketAddress({ url, ...connect })
  }

  get closed(): boolean {
    return this.destroyed
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const exchange = new Exchange(options, handler)
    if (this.destroyed) {
      exchange.fail(destroyedError())
      return true
    }
    const wire = this.#idle.pop() ?? this.#connect()
    wire.begin(exchange, requestBytes(options, this.#host))
    return true
  }

  async destroy(): Promise<void> {
    this.destroyed = true
    for (const wire of this.#all) wire.end(destroyedError())
  }

  #connect(): Wire {
    const wire = new Wire(connect(this.#address), this.#connectTimeoutMs, {
      onIdle: () => this.#idle.push(wire),
      onEnd: () => {
        this.#all.delete(wire)
        const at = this.#idle.indexOf(wire)
        if (at !== -1) this.#idle.splice(at, 1)
      },
    })
    this.#all.add(wire)
    return wire
  }
}

/** The connection ended before the answer did. */
class SocketError extends Error {
  readonly code = 'UND_ERR_SOCKET'
}

export const errors = { SocketError }

const destroyedError = (): Error => Object.assign(new Error('The client is destroyed'), { code: 'UND_ERR_DESTROYED' })

function requestBytes({ method, path, headers, body }: Dispatcher.DispatchOptions, host: string): string | Buffer {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`, 'connection: keep-alive']
  for (const [name, value] of Object.entries(headers ?? {})) lines.push(`${name}: ${value}`)
  if (lines.some((line) => /[\r\n\0]/.test(line))) throw new TypeError('got a path or header with a line break')
  if (body === undefined || body === null) {
    if (method !== 'GET') lines.push('content-length: 0')
    return `${lines.join('\r\n')}\r\n\r\n`
  }
  if (!Buffer.isBuffer(body)) throw new TypeError('got a body that is no buffer')
  lines.push(`content-length: ${body.length}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

/** A request and what takes its answer. */
class Exchange implements Dispatcher.DispatchController {
  readonly method: string
  readonly headersTimeoutMs: number
  readonly #handler: Dispatcher.DispatchHandler
  wire: Wire | undefined
  paused = false
  aborted = false
  reason: Error | null = null
  #over = false

  constructor({ method, headersTimeout }: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) {
    this.method = method
    this.headersTimeoutMs = headersTimeout ?? 0
    this.#handler = handler
  }

  start(wire: Wire): void {
    this.wire = wire
    this.#handler.onRequestStart?.(this, {})
  }

  answer(status: number): void {
    this.#handler.onResponseStart?.(this, status, {})
  }

  data(content: Buffer): void {
    this.#handler.onResponseData?.(this, content)
  }

  end(): void {
    this.#over = true
    this.#handler.onResponseEnd?.(this, {})
  }

  fail(error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#handler.onResponseError?.(this, error)
  }

  abort(reason: Error): void {
    if (this.#over) return
    this.aborted = true
    this.reason = reason
    this.wire?.end(reason)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.wire?.goOn()
  }
}

/** The longest line, and all headers, of an answer. */
const maxHeadBytes = 64 * 1024

/** What of an answer comes next: its head, so many bytes of content or of a chunk, the line before a chunk or after it, what follows the last. */
type Next = 'head' | 'content' | 'chunk' | 'chunk-size' | 'chunk-end' | 'trailer'

/** One connection, with one request at a time. */
class Wire {
  readonly #socket: Socket
  readonly #events: { onIdle(): void; onEnd(): void }
  #exchange: Exchange | undefined
  #unread: Buffer = Buffer.alloc(0)
  #next: Next = 'head'
  #left = 0
  #keep = true
  #ended = false
  #reading = false
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Socket, connectTimeoutMs: number, events: { onIdle(): void; onEnd(): void }) {
    this.#socket = socket
    this.#events = events
    const late = setTimeout(
      () => this.end(Object.assign(new Error('Connect Timeout Error'), { code: 'UND_ERR_CONNECT_TIMEOUT' })),
      connectTimeoutMs,
    )
    socket.setNoDelay(true)
    socket.on('connect', () => clearTimeout(late))
    socket.on('data', (read: Buffer) => {
      this.#unread = this.#unread.length === 0 ? read : Buffer.concat([this.#unread, read])
      this.goOn()
    })
    socket.on('end', () => this.end(new SocketError('other side closed')))
    socket.on('error', (error) => this.end(error))
    socket.on('close', () => {
      clearTimeout(late)
      this.end(new SocketError('closed'))
    })
  }

  begin(exchange: Exchange, request: string | Buffer): void {
    this.#exchange = exchange
    exchange.start(this)
    // Its signal may have been aborted already.
    if (this.#ended) return
    if (exchange.headersTimeoutMs > 0) {
      const late = (): void => this.end(Object.assign(new Error('Headers Timeout Error'), { code: 'UND_ERR_HEADERS_TIMEOUT' }))
      this.#timer = setTimeout(late, exchange.headersTimeoutMs)
    }
    this.#socket.write(request, 'latin1')
  }

  end(error: Error): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.#socket.destroy()
    this.#events.onEnd()
    this.#exchange?.fail(error)
  }

  /** Hands on what has come, as far as it is wanted. */
  goOn(): void {
    // A sink that is done at once asks for more while it is being given some.
    if (this.#reading) return
    this.#reading = true
    try {
      while (!this.#ended && this.#exchange && !this.#exchange.paused && this.#step(this.#exchange));
      if (!this.#exchange && this.#unread.length > 0) throw new Error('got an answer to nothing')
    } catch (error) {
      this.end(error as Error)
    } finally {
      this.#reading = false
    }
    if (this.#ended) return
    if (this.#exchange?.paused) this.#socket.pause()
    else this.#socket.resume()
  }

  /** Reads one part of the answer. False when more has to come first. */
  #step(exchange: Exchange): boolean {
    switch (this.#next) {
      case 'head': {
        const head = this.#until('\r\n\r\n')
        if (head !== undefined) this.#begun(exchange, head)
        return head !== undefined
      }
      case 'chunk-size': {
        const line = this.#until('\r\n')
        if (line === undefined) return false
        const [, size] = /^([0-9a-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line) ?? []
        if (size === undefined) throw new Error(`got ${JSON.stringify(line.slice(0, 40))}, expected the size of a chunk`)
        this.#left = Number.parseInt(size, 16)
        this.#next = this.#left === 0 ? 'trailer' : 'chunk'
        return true
      }
      case 'chunk-end':
      case 'trailer': {
        const line = this.#until('\r\n')
        if (line === undefined) return false
        if (this.#next === 'chunk-end') {
          if (line !== '') throw new Error('got a chunk that is longer than was said')
          this.#next = 'chunk-size'
        } else if (line === '') this.#finish()
        return true
      }
      default:
        return this.#content(exchange)
    }
  }

  #begun(exchange: Exchange, head: string): void {
    const [first = '', ...lines] = head.split('\r\n')
    const status = Number(/^HTTP\/1\.1 ([1-9][0-9]{2})(?: |$)/.exec(first)?.[1] ?? Number.NaN)
    if (Number.isNaN(status)) throw new Error(`got ${JSON.stringify(first.slice(0, 40))}, expected an answer of HTTP/1.1`)
    if (status < 200) return
    clearTimeout(this.#timer)
    const headers = new Map<string, string>()
    for (const line of lines) {
      const colon = line.indexOf(':')
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
    }
    const length = headers.get('content-length')
    if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw new Error(`got a content of length ${length}`)
    this.#keep = !/\bclose\b/i.test(headers.get('connection') ?? '')
    this.#left = Number(length ?? 0)
    if (/\bchunked$/i.test(headers.get('transfer-encoding') ?? '')) this.#next = 'chunk-size'
    else if (status === 204 || length !== undefined) this.#next = 'content'
    else throw new Error('got an answer that does not say how long it is')
    exchange.answer(status)
  }

  #content(exchange: Exchange): boolean {
    // Only now, when the sink is done with the last of it.
    if (this.#left === 0) this.#finish()
    else {
      if (this.#unread.length === 0) return false
      const part = this.#unread.subarray(0, this.#left)
      this.#unread = this.#unread.subarray(part.length)
      this.#left -= part.length
      if (this.#left === 0 && this.#next === 'chunk') this.#next = 'chunk-end'
      exchange.data(part)
    }
    return true
  }

  #finish(): void {
    const exchange = this.#exchange
    this.#exchange = undefined
    this.#next = 'head'
    if (this.#keep) this.#events.onIdle()
    else this.end(new SocketError('closed'))
    exchange?.end()
  }

  /** The unread up to a mark, which is read, too. */
  #until(mark: string): string | undefined {
    const end = this.#unread.indexOf(mark)
    if (end === -1) {
      if (this.#unread.length > maxHeadBytes) throw new Error('got an answer with a line or headers that are too long')
      return undefined
    }
    const text = this.#unread.toString('latin1', 0, end)
    this.#unread = this.#unread.subarray(end + mark.length)
    return text
  }
}
