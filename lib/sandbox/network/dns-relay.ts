import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { pipeline } from 'node:stream'

const dnsPort = 53
/** How long one name server is waited for before the next is asked; the resolver of the C library gives up after 5 s. */
const patienceMs = 2_000
/** Longer than any query. */
const maxQueryBytes = 4096
/** What is more is dropped, as a network would: whoever asked asks again. */
const maxQuestions = 256
const maxConnections = 64
/** Of one slot: it must not take the others' part. */
const maxQuestionsOfOne = 32
const maxConnectionsOfOne = 4
const idleConnectionMs = 10_000

/**
 * Passes look-ups of names from slots to name servers that only the server's own namespace reaches: Docker's and systemd's listen on its
 * loopback. It looks at nothing but where a datagram comes from. The packet filter bounds how much a slot can ask.
 */
export class DnsRelay {
  readonly #udp: Socket
  readonly #tcp: Server
  readonly #nameservers: readonly string[]
  readonly #questions = new Asked(maxQuestions, maxQuestionsOfOne)
  readonly #connections = new Asked(maxConnections, maxConnectionsOfOne)

  private constructor(udp: Socket, tcp: Server, nameservers: readonly string[]) {
    this.#udp = udp
    this.#tcp = tcp
    this.#nameservers = nameservers
  }

  /** Listens at port 53 of `address`, which is this machine's, and asks `nameservers` in order. */
  static async start(address: string, nameservers: readonly string[]): Promise<DnsRelay> {
    const udp = createSocket('udp4')
    const tcp = createServer()
    try {
      udp.bind(dnsPort, address)
      await once(udp, 'listening')
      tcp.listen(dnsPort, address)
      await once(tcp, 'listening')
    } catch (error) {
      udp.close()
      tcp.close()
      throw error
    }
    const relay = new DnsRelay(udp, tcp, nameservers)
    // A slot that is gone cannot be answered; that is no failure of the others.
    udp.on('error', () => {})
    udp.on('message', (query, { address: host, port }) => relay.#ask(host, query, 0, (answer) => udp.send(answer, port, host, () => {})))
    relay.#pass()
    udp.unref()
    tcp.unref()
    return relay
  }

  async close(): Promise<void> {
    this.#questions.closeAll()
    this.#connections.closeAll()
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')]
    this.#udp.close()
    this.#tcp.close()
    await Promise.all(closed)
  }

  /** Asks the name server at `index`, and the next one when it is silent or refuses. */
  #ask(host: string, query: Buffer, index: number, answered: (answer: Buffer) => void): void {
    const nameserver = this.#nameservers[index]
    if (nameserver === undefined || query.length > maxQueryBytes || !this.#questions.mayAsk(host)) return
    const socket = createSocket(nameserver.includes(':') ? 'udp6' : 'udp4')
    const question = {
      close: (): void => {
        if (!this.#questions.delete(host, question)) return
        clearTimeout(timer)
        socket.close()
      },
    }
    const next = (): void => {
      if (!this.#questions.has(host, question)) return
      question.close()
      this.#ask(host, query, index + 1, answered)
    }
    const timer = setTimeout(next, patienceMs)
    timer.unref()
    this.#questions.add(host, question)
    socket.on('error', next)
    // Connected, the socket takes answers of that name server alone.
    socket.connect(dnsPort, nameserver, () => {
      socket.on('message', (answer) => {
        question.close()
        answered(answer)
      })
      socket.send(query)
    })
  }

  #pass(): void {
    this.#tcp.on('connection', (inward) => {
      const host = inward.remoteAddress ?? ''
      if (!this.#connections.mayAsk(host)) {
        inward.destroy()
        return
      }
      const outward = connect(dnsPort, this.#nameservers[0])
      const connection = {
        close: (): void => {
          this.#connections.delete(host, connection)
          inward.destroy()
          outward.destroy()
        },
      }
      this.#connections.add(host, connection)
      for (const socket of [inward, outward]) socket.setTimeout(idleConnectionMs, connection.close)
      pipeline(inward, outward, (error) => error && connection.close())
      pipeline(outward, inward, connection.close)
    })
  }
}

interface Closable {
  close: () => void
}

/** What is under way, by who asked. */
class Asked {
  readonly #max: number
  readonly #maxOfOne: number
  readonly #byHost = new Map<string, Set<Closable>>()
  #count = 0

  constructor(max: number, maxOfOne: number) {
    this.#max = max
    this.#maxOfOne = maxOfOne
  }

  mayAsk(host: string): boolean {
    return this.#count < this.#max && (this.#byHost.get(host)?.size ?? 0) < this.#maxOfOne
  }

  has(host: string, one: Closable): boolean {
    return this.#byHost.get(host)?.has(one) ?? false
  }

  add(host: string, one: Closable): void {
    const own = this.#byHost.get(host) ?? new Set()
    this.#byHost.set(host, own.add(one))
    this.#count++
  }

  delete(host: string, one: Closable): boolean {
    const own = this.#byHost.get(host)
    if (!own?.delete(one)) return false
    if (own.size === 0) this.#byHost.delete(host)
    this.#count--
    return true
  }

  closeAll(): void {
    for (const own of [...this.#byHost.values()]) for (const one of [...own]) one.close()
  }
}
