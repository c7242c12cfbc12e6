import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type Endpoint, socketAddress } from '../lib/wire/endpoint.ts'

/** What an answer is to: a command, a request for a lease, a release, or anything. */
export type AnswerTo = 'command' | 'lease' | 'release' | 'any'

/** Whose answer was cut, as far as the request said. */
export interface Cut {
  containerId: string
  asked: AnswerTo
  taskId: string | undefined
  leaseId: string | undefined
  /** How much of the answer had gone through; null when the request itself had not. */
  bytes: number | null
}

interface Order {
  answerTo: AnswerTo
  /** Of the answer; null: the request is lost. */
  afterBytes: number | null
  resolve: (cut: Cut | undefined) => void
}

/** The ways from managers to sandbox servers: Unix sockets that lead to the servers' own, and break when they are told to. */
export class CuttingProxies {
  readonly #folder: string
  readonly #routes = new Map<string, Promise<Endpoint>>()
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #orders: Order[] = []

  /** @param folder where the sockets are made. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** A way to the server of a container. */
  route(containerId: string, endpoint: Endpoint): Promise<Endpoint> {
    const key = JSON.stringify([containerId, endpoint])
    let route = this.#routes.get(key)
    if (!route) {
      route = this.#make(containerId, endpoint)
      this.#routes.set(key, route)
    }
    return route
  }

  /**
   * Cuts the next answer of that kind of which so many bytes have come; null: the connection breaks before the request is handed on. Resolves when
   * it did, or with undefined when there will be none.
   */
  cut(answerTo: AnswerTo, afterBytes: number | null): Promise<Cut | undefined> {
    return new Promise((resolve) => this.#orders.push({ answerTo, afterBytes, resolve }))
  }

  /** Nothing is asked any more: what was to be cut yet will not be. */
  giveUpCuts(): void {
    for (const order of this.#orders.splice(0)) order.resolve(undefined)
  }

  async close(): Promise<void> {
    this.giveUpCuts()
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(this.#servers.map((server) => server.listening && once(server, 'close')))
  }

  async #make(containerId: string, endpoint: Endpoint): Promise<Endpoint> {
    const server = createServer((near) => this.#lead(near, connect(socketAddress(endpoint)), containerId))
    const socketPath = join(this.#folder, `${this.#servers.length}.sock`)
    this.#servers.push(server)
    server.listen(socketPath)
    await once(server, 'listening')
    return { ...endpoint, socketPath }
  }

  #lead(near: Socket, far: Socket, containerId: string): void {
    const request = new LastRequest()
    let isCut = false
    for (const socket of [near, far]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
    }
    const cut = (order: Order, bytes: number | null): void => {
      isCut = true
      this.#orders.splice(this.#orders.indexOf(order), 1)
      far.destroy()
      const { asked, taskId, leaseId } = request
      order.resolve({ containerId, asked, taskId, leaseId, bytes })
    }
    near.on('data', (chunk) => {
      // What was read before may be handed on even after it was destroyed.
      if (isCut) return
      request.read(chunk)
      const order = this.#orders.find((one) => one.afterBytes === null && request.isOf(one.answerTo))
      // Its first part may not say whose it is.
      if (order && (request.isNamed || order.answerTo === 'any')) {
        cut(order, null)
        near.destroy()
      } else if (!far.write(chunk)) pauseUntilDrained(near, far)
    })
    near.on('close', () => far.destroy())
    // What is on its way is brought to its end, as it would be without this in between.
    far.on('end', () => near.end())
    far.on('close', () => near.end(() => near.destroy()))
    far.on('data', (chunk) => {
      if (isCut) return
      const before = request.answeredBytes
      request.answeredBytes += chunk.length
      const order = this.#orders.find(({ afterBytes, answerTo }) => {
        return afterBytes !== null && request.isOf(answerTo) && request.answeredBytes >= afterBytes
      })
      if (!order) {
        if (!near.write(chunk)) pauseUntilDrained(far, near)
        return
      }
      const bytes = Math.max(before, order.afterBytes as number)
      cut(order, bytes)
      near.write(chunk.subarray(0, bytes - before), () => near.destroy())
    })
  }
}

function pauseUntilDrained(from: Socket, to: Socket): void {
  from.pause()
  to.once('drain', () => from.resume())
}

/** What was asked last over a connection. Each has one request at a time, and what tells whose it is stands at its beginning. */
class LastRequest {
  asked: AnswerTo = 'any'
  taskId: string | undefined
  leaseId: string | undefined
  answeredBytes = 0

  read(chunk: Buffer): void {
    const text = chunk.subarray(0, 4096).toString('latin1')
    const http = /^(GET|PUT|POST|DELETE) (\S+) HTTP\/1\.1\r\n/.exec(text)
    const frame = chunk[0] === 6
    if (http || frame) {
      this.asked = frame ? 'command' : 'any'
      this.answeredBytes = 0
      this.taskId = undefined
      this.leaseId = undefined
    }
    if (http) this.#readPath(http[1] as string, http[2] as string)
    this.taskId ??= /"taskId":"([^"]+)"/.exec(text)?.[1]
    this.leaseId ??= /"leaseId":"([^"]+)"/.exec(text)?.[1]
  }

  get isNamed(): boolean {
    return this.taskId !== undefined || this.leaseId !== undefined
  }

  isOf(answerTo: AnswerTo): boolean {
    return answerTo === 'any' || this.asked === answerTo
  }

  #readPath(method: string, path: string): void {
    const [route = '', query = ''] = path.split('?')
    const lease = /^\/v1\/leases\/([^/]+)/.exec(route)?.[1]
    if (lease !== undefined) this.leaseId = lease
    const task = new URLSearchParams(query).get('taskId')
    if (task !== null) this.taskId = task
    if (method === 'POST' && route === '/v1/leases') this.asked = 'lease'
    else if (method === 'DELETE' && lease !== undefined && route.endsWith(lease)) this.asked = 'release'
  }
}
