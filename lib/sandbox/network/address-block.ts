import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { formatIpv4, formatIpv4Range, type Ipv4Range, ipv4Range } from './ipv4-range.ts'

/** Ranges that no route of the internet names: for benchmarks, and a corner of the one for carriers. Divided into blocks in this order. */
const sources = ['198.18.0.0/15', '100.126.0.0/15'].map(ipv4Range)
const blockPrefixLength = 20
const blocksPerSource = 2 ** (blockPrefixLength - 15)

/** How many blocks there are: so many servers can share one network namespace. */
export const blockCount = sources.length * blocksPerSource
/** How many links one block has addresses for. */
export const linksPerBlock = 2 ** (32 - blockPrefixLength - 1) - 1

/** The addresses and names that one server gives out, set apart from those of other servers in the same network namespace. */
export class AddressBlock {
  readonly number: number
  readonly range: Ipv4Range

  constructor(number: number) {
    const source = sources[Math.floor(number / blocksPerSource)]
    if (source === undefined) throw new RangeError(`block: got ${number}, expected 0 to ${blockCount - 1}`)
    this.number = number
    this.range = {
      first: source.first + (number % blocksPerSource) * 2 ** (32 - blockPrefixLength),
      prefixLength: blockPrefixLength,
    }
  }

  /** What the names of all its interfaces begin with. */
  get interfacePrefix(): string {
    return `slp${this.number}-`
  }

  /** Where the server answers look-ups of names, if it has to. */
  get resolverAddress(): string {
    return formatIpv4(this.range.first)
  }

  /** A link's name on the server's side, and the two addresses of it. `index` from 0, below {@link linksPerBlock}. */
  link(index: number): { name: string; serverAddress: string; slotAddress: string } {
    const first = this.range.first + 2 * (index + 1)
    return { name: `${this.interfacePrefix}${index}`, serverAddress: formatIpv4(first), slotAddress: formatIpv4(first + 1) }
  }

  toString(): string {
    return formatIpv4Range(this.range)
  }

  /**
   * Claims the block for as long as this process lives: an abstract socket belongs to one network namespace and goes with its process,
   * however that ends. Undefined when another server has it.
   */
  async claim(): Promise<Server | undefined> {
    const server = createServer((socket) => socket.destroy())
    server.unref()
    try {
      server.listen(`\0slotpool-network-${this.number}`)
      await once(server, 'listening')
      return server
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined
      throw error
    }
  }
}
