import { SlotpoolError } from '../../errors.ts'
import type { Allowed } from './allowed.ts'
import { deniedRanges } from './denied.ts'
import { formatIpv4, formatIpv4Range, type Ipv4Range, ipv4Range, overlaps } from './ipv4-range.ts'
import { setUpNamespace } from './namespace-setup.ts'
import type { AttachedNetwork, NetworkPlace, SlotNetworkKind } from './network.ts'
import { nomadAddresses } from './nomad-addresses.ts'
import { type OutputFilter, outputFilters } from './output-filter.ts'
import { readResolvConf, renderResolvConf } from './resolv-conf.ts'
import { hardenings, SlirpProcess } from './slirp-process.ts'
import { type SlotReach, slotRules } from './slot-rules.ts'
import { readSurroundings } from './surroundings.ts'
import { TrialNamespace } from './trial-namespace.ts'

/** slirp4netns's usual network and others to take when something here has that one. The same for every slot: they do not meet. */
const ranges = ['10.0.2.0/24', '10.213.7.0/24', '172.29.213.0/24', '192.168.213.0/24', '198.19.213.0/24'].map(ipv4Range)

/** Its name server is the third address of the network. */
const resolverOf = (range: Ipv4Range): Ipv4Range => ({ first: range.first + 3, prefixLength: 32 })

/**
 * A user-mode network for each slot: a process of the server's own user makes the slot's connections, from sockets of its own. It changes
 * nothing on the machine and needs no rights. Where a slot may go is decided by a packet filter in the slot's own namespace, which the slot
 * has no rights over. IPv4 alone; a slot has IPv6 only on its loopback.
 */
export class SlirpNetwork implements SlotNetworkKind {
  readonly level = 'outbound'
  readonly ownNamespace = true
  readonly #allowed: readonly Allowed[]
  readonly #nomad: readonly Ipv4Range[]
  readonly #range: Ipv4Range
  readonly #hardening: readonly string[]
  readonly #filter: OutputFilter
  readonly #attached = new Set<AttachedNetwork>()

  private constructor(parts: { allowed: readonly Allowed[]; nomad: Ipv4Range[]; range: Ipv4Range } & Means) {
    this.#allowed = parts.allowed
    this.#nomad = parts.nomad
    this.#range = parts.range
    this.#hardening = parts.hardening
    this.#filter = parts.filter
  }

  /** @throws {Error} with what is missing or does not work. */
  static async open(options: { allowed: readonly Allowed[]; environment: NodeJS.ProcessEnv }): Promise<SlirpNetwork> {
    const { addresses, routed } = await readSurroundings()
    const taken = [...addresses, ...routed, ...options.allowed.map((one) => one.range)]
    const range = ranges.find((candidate) => !taken.some((one) => overlaps(one, candidate)))
    if (range === undefined) throw new Error(`every range for slots is in use here: ${ranges.map(formatIpv4Range).join(', ')}`)
    const means = await findMeans(range)
    return new SlirpNetwork({ allowed: options.allowed, nomad: await nomadAddresses(options.environment), range, ...means })
  }

  async attach(place: NetworkPlace): Promise<AttachedNetwork> {
    let slirp: SlirpProcess | undefined
    try {
      // Asked anew for every slot: a server on a laptop lives through many networks.
      const [{ addresses, gateways }, resolver] = await Promise.all([readSurroundings(), readResolvConf()])
      slirp = await SlirpProcess.start(place, this.#range, this.#hardening)
      const nameserver = resolverOf(this.#range)
      const denied = deniedRanges([this.#range, ...addresses, ...gateways, ...this.#nomad])
      const reach: SlotReach = { nameservers: [nameserver], allowed: this.#allowed, denied }
      const { interfaceName } = slirp
      await setUpNamespace(place, {
        interfaceName,
        lines: slotRules(reach),
        filter: { command: this.#filter.command, rules: this.#filter.rules(interfaceName, reach) },
      })
      const { ended, end } = slirp
      const attached: AttachedNetwork = {
        resolvConf: renderResolvConf(resolver, [formatIpv4(nameserver.first)]),
        ended,
        detach: async () => {
          await end()
          this.#attached.delete(attached)
        },
      }
      this.#attached.add(attached)
      return attached
    } catch (cause) {
      await slirp?.end()
      throw new SlotpoolError('JAIL_FAILED', `the network of slot ${place.slot} could not be made: ${(cause as Error).message}`, { cause })
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#attached].map((one) => one.detach()))
  }
}

/** What works on this machine. */
interface Means {
  hardening: readonly string[]
  filter: OutputFilter
}

/** What slirp4netns can shut itself into, and what sets a filter, depend on programs, the kernel and the user: tried in a namespace. */
async function findMeans(range: Ipv4Range): Promise<Means> {
  const trial = await TrialNamespace.make()
  try {
    const reach: SlotReach = { nameservers: [resolverOf(range)], allowed: [], denied: [range] }
    const filter = await firstThatWorks(outputFilters, async ({ command, rules }) => {
      await setUpNamespace(trial.place, { interfaceName: 'lo', filter: { command, rules: rules('none', reach) } })
    })
    const hardening = await firstThatWorks(hardenings, async (options) => {
      await (await SlirpProcess.start(trial.place, range, options)).end()
    })
    return { hardening, filter }
  } finally {
    await trial.end()
  }
}

async function firstThatWorks<T>(ways: readonly T[], attempt: (way: T) => Promise<void>): Promise<T> {
  let failure: unknown
  for (const way of ways) {
    try {
      await attempt(way)
      return way
    } catch (error) {
      failure = error
    }
  }
  throw failure
}
