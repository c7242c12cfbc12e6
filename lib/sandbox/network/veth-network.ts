import { readFile } from 'node:fs/promises'
import type { Server } from 'node:net'
import { SlotpoolError } from '../../errors.ts'
import { runTool } from '../run-tool.ts'
import { AddressBlock, blockCount, linksPerBlock } from './address-block.ts'
import type { Allowed } from './allowed.ts'
import { deniedRanges } from './denied.ts'
import { DnsRelay } from './dns-relay.ts'
import { Firewall, firewallRules } from './firewall.ts'
import { formatIpv4, ipv4Range, overlaps } from './ipv4-range.ts'
import { runWithSwitches, setUpNamespace } from './namespace-setup.ts'
import type { AttachedNetwork, NetworkPlace, SlotNetworkKind } from './network.ts'
import { nomadAddresses } from './nomad-addresses.ts'
import { readResolvConf, renderResolvConf, routedNameservers } from './resolv-conf.ts'
import { type SlotReach, slotRules } from './slot-rules.ts'
import { readSurroundings, type Surroundings } from './surroundings.ts'

/** What the other end of a slot's link is called inside of the slot. */
const slotInterface = 'eth0'

/** A default of the kernel's that a machine may have changed for the worse, per interface of the server's side. */
const linkSwitches =
  'echo 1 > rp_filter; echo 0 > accept_source_route; echo 0 > accept_redirects; echo 0 > route_localnet; echo 0 > proxy_arp'

/**
 * A link from each slot into the network namespace of the server, which routes and masks what leaves, and filters it. For containers: the
 * server is root there and may change the namespace's rules. IPv4 alone; a slot has IPv6 only on its loopback.
 */
export class VethNetwork implements SlotNetworkKind {
  readonly level = 'outbound'
  readonly ownNamespace = true
  readonly #block: AddressBlock
  readonly #claim: Server
  readonly #firewall: Firewall
  readonly #relay: DnsRelay | undefined
  readonly #resolvConf: string
  readonly #rules: readonly string[]
  readonly #mtu: number
  readonly #used = new Set<number>()
  /** In turn: what is still on its way to the last slot that had an address must not reach the next, and the kernel knows it for minutes. */
  #next = 0

  private constructor(parts: {
    block: AddressBlock
    claim: Server
    firewall: Firewall
    relay: DnsRelay | undefined
    resolvConf: string
    rules: string[]
    mtu: number
  }) {
    this.#block = parts.block
    this.#claim = parts.claim
    this.#firewall = parts.firewall
    this.#relay = parts.relay
    this.#resolvConf = parts.resolvConf
    this.#rules = parts.rules
    this.#mtu = parts.mtu
  }

  /**
   * Claims addresses and sets the filter. What a server that was killed left behind in this namespace is replaced.
   *
   * @param environment names Nomad's addresses, which are denied.
   * @throws {Error} with what the system refused. Nothing is left then.
   */
  static async open(options: { allowed: readonly Allowed[]; environment: NodeJS.ProcessEnv }): Promise<VethNetwork> {
    const { block, claim, surroundings } = await claimBlock()
    try {
      const resolver = await readResolvConf()
      const routed = routedNameservers(resolver)
      // None is within the slots' reach: the server asks them instead.
      const relayed = routed.length === 0 && resolver.nameservers.length > 0
      const { addresses, gateways } = surroundings
      const reach: SlotReach = {
        nameservers: relayed ? [ipv4Range(block.resolverAddress)] : routed,
        allowed: options.allowed,
        denied: deniedRanges([...addresses, ...gateways, ...(await nomadAddresses(options.environment))]),
      }
      const choices = [true, false].map((bounded) => firewallRules(block, reach, { relay: relayed, bounded }))
      const firewall = await Firewall.open(block, choices)
      try {
        if ((await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8')).trim() === '0') {
          await runWithSwitches('echo 1 > /proc/sys/net/ipv4/ip_forward')
        }
        const relay = relayed ? await startRelay(block, resolver.nameservers) : undefined
        const resolvConf = renderResolvConf(
          resolver,
          reach.nameservers.map(({ first }) => formatIpv4(first)),
        )
        const mtu = surroundings.uplinkMtu ?? 1500
        return new VethNetwork({ block, claim, firewall, relay, resolvConf, rules: slotRules(reach), mtu })
      } catch (error) {
        await removeAddress(block)
        await firewall.remove(block)
        throw error
      }
    } catch (error) {
      claim.close()
      throw error
    }
  }

  async attach(place: NetworkPlace): Promise<AttachedNetwork> {
    const index = this.#takeIndex()
    const { name, serverAddress, slotAddress } = this.#block.link(index)
    try {
      await setUpNamespace(place, {
        before: `printf '%s\\n' ${[
          `link add name ${name} mtu ${this.#mtu} type veth peer name ${slotInterface} mtu ${this.#mtu} netns ${place.pid}`,
          `link set dev ${name} addrgenmode none`,
          `address add ${serverAddress}/31 dev ${name}`,
          `link set dev ${name} up`,
        ]
          .map((line) => `'${line}'`)
          .join(' ')} | ip -batch -
          cd /proc/sys/net/ipv4/conf/${name}; ${linkSwitches}; cd /
          if [ -e /proc/sys/net/ipv6/conf/${name} ]; then echo 1 > /proc/sys/net/ipv6/conf/${name}/disable_ipv6; fi`,
        interfaceName: slotInterface,
        lines: [
          `link set dev ${slotInterface} up`,
          `address add ${slotAddress}/31 dev ${slotInterface}`,
          `route add default via ${serverAddress}`,
          ...this.#rules,
        ],
      })
    } catch (cause) {
      await this.#detach(index)
      throw new SlotpoolError('JAIL_FAILED', `the network of slot ${place.slot} could not be made: ${(cause as Error).message}`, { cause })
    }
    let detached: Promise<void> | undefined
    return {
      resolvConf: this.#resolvConf,
      ended: new Promise(() => {}),
      detach: () => {
        detached ??= this.#detach(index)
        return detached
      },
    }
  }

  async close(): Promise<void> {
    try {
      await removeLinks(this.#block)
      await this.#relay?.close()
      await removeAddress(this.#block)
      await this.#firewall.remove(this.#block)
    } finally {
      this.#claim.close()
    }
  }

  #takeIndex(): number {
    for (let tried = 0; tried < linksPerBlock; tried++) {
      const index = this.#next
      this.#next = (index + 1) % linksPerBlock
      if (this.#used.has(index)) continue
      this.#used.add(index)
      return index
    }
    throw new SlotpoolError('JAIL_FAILED', `got more than ${linksPerBlock} networks of slots at once`)
  }

  async #detach(index: number): Promise<void> {
    await removeLink(this.#block.link(index).name)
    // Only now may another have its name.
    this.#used.delete(index)
  }
}

/** The first block that no other server has and that nothing here leads to already, what is left of an earlier server in it removed. */
async function claimBlock(): Promise<{ block: AddressBlock; claim: Server; surroundings: Surroundings }> {
  for (let number = 0; number < blockCount; number++) {
    const block = new AddressBlock(number)
    const claim = await block.claim()
    if (claim === undefined) continue
    try {
      let surroundings = await readSurroundings()
      if (hasOf(block, surroundings)) {
        await removeLinks(block)
        await removeAddress(block)
        surroundings = await readSurroundings()
      }
      const inUse = [...surroundings.addresses, ...surroundings.routed].some((range) => overlaps(range, block.range))
      if (!inUse) return { block, claim, surroundings }
    } catch (error) {
      claim.close()
      throw error
    }
    claim.close()
  }
  throw new Error('every range of addresses that slots could have is in use here')
}

/** Whether something of the block is there, which is what a server that was killed left. */
function hasOf(block: AddressBlock, { interfaces, addresses }: Surroundings): boolean {
  const resolver = ipv4Range(block.resolverAddress)
  return interfaces.some((name) => name.startsWith(block.interfacePrefix)) || addresses.some((address) => overlaps(address, resolver))
}

/** The relay's address is nobody else's: slots reach nothing but the relay there, and it takes no port of an address that is in use. */
async function startRelay(block: AddressBlock, nameservers: readonly string[]): Promise<DnsRelay> {
  await runTool(['ip', 'address', 'add', `${block.resolverAddress}/32`, 'dev', 'lo'])
  return DnsRelay.start(block.resolverAddress, nameservers)
}

async function removeAddress(block: AddressBlock): Promise<void> {
  try {
    await runTool(['ip', 'address', 'delete', `${block.resolverAddress}/32`, 'dev', 'lo'])
  } catch (error) {
    if (!/Cannot assign requested address|not found/.test((error as Error).message)) throw error
  }
}

async function removeLinks(block: AddressBlock): Promise<void> {
  const shown = await runTool(['ip', '-json', 'link', 'show', 'type', 'veth'])
  const links = (shown.trim() === '' ? [] : JSON.parse(shown)) as { ifname?: string }[]
  for (const { ifname } of links) if (ifname?.startsWith(block.interfacePrefix)) await removeLink(ifname)
}

/** A link goes by itself when the namespace at its other end does. */
async function removeLink(name: string): Promise<void> {
  try {
    await runTool(['ip', 'link', 'delete', 'dev', name])
  } catch (error) {
    if (!/Cannot find device|No such device/.test((error as Error).message)) throw error
  }
}
