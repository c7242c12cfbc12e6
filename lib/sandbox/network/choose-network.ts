import type { NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { type Allowed, parseAllowed } from './allowed.ts'
import { LoopbackNetwork } from './loopback-network.ts'
import type { ChosenNetwork, SlotNetworkKind } from './network.ts'
import { SharedNetwork } from './shared-network.ts'
import { SlirpNetwork } from './slirp-network.ts'
import { TrialNamespace } from './trial-namespace.ts'
import { VethNetwork } from './veth-network.ts'

/**
 * The network that slots can have here, found by making one. `outbound` falls back to `host`, with the reason; `none` never falls back.
 *
 * @param options.where whether the server has a container to itself, whose network it may arrange, or is a process among others of a
 *   machine.
 * @param options.allow what slots may reach although it is denied else: IPv4 addresses and ranges, each perhaps with a port.
 * @param options.environment names Nomad's addresses. Default: the server's own.
 * @throws {SlotpoolError} `ISOLATION_UNAVAILABLE` when `none` was asked for and cannot be had; `CONFIG_INVALID` for `allow`.
 */
export async function chooseNetwork(options: {
  network: NetworkChoice
  where: 'container' | 'host'
  allow: readonly string[]
  environment?: NodeJS.ProcessEnv
}): Promise<ChosenNetwork> {
  const allowed = options.allow.map(parseAllowed)
  if (options.network === 'host') return { level: 'host', reason: null, network: new SharedNetwork() }
  if (options.network === 'none') {
    const network = new LoopbackNetwork()
    const failure = await tryNetwork(network)
    if (failure === null) return { level: 'none', reason: null, network }
    throw new SlotpoolError('ISOLATION_UNAVAILABLE', `got network none, but a slot cannot be kept off the network here: ${failure}`)
  }
  const environment = options.environment ?? process.env
  const result = await (options.where === 'container' ? openVeth(allowed, environment) : openSlirp(allowed, environment))
  if (typeof result !== 'string') return { level: 'outbound', reason: null, network: result }
  return { level: 'host', reason: `TERMINAL_NETWORK=outbound: ${result}`, network: new SharedNetwork() }
}

async function openVeth(allowed: readonly Allowed[], environment: NodeJS.ProcessEnv): Promise<SlotNetworkKind | string> {
  const needs = 'it takes root with CAP_NET_ADMIN in the container, and iproute2 and iptables in its image'
  try {
    return await tried(await VethNetwork.open({ allowed, environment }), needs)
  } catch (error) {
    return `${(error as Error).message}; ${needs}`
  }
}

async function openSlirp(allowed: readonly Allowed[], environment: NodeJS.ProcessEnv): Promise<SlotNetworkKind | string> {
  const needs =
    'it takes slirp4netns, nftables or iptables (`apt-get install slirp4netns nftables`, or the same with `dnf`), iproute2 and /dev/net/tun'
  try {
    return await tried(await SlirpNetwork.open({ allowed, environment }), needs)
  } catch (error) {
    return `${(error as Error).message}; ${needs}`
  }
}

/** The network itself when a slot could be given one, else why not. */
async function tried(network: SlotNetworkKind, needs: string): Promise<SlotNetworkKind | string> {
  const failure = await tryNetwork(network)
  if (failure === null) return network
  await network.close()
  return `${failure}; ${needs}`
}

async function tryNetwork(network: SlotNetworkKind): Promise<string | null> {
  let trial: TrialNamespace | undefined
  try {
    trial = await TrialNamespace.make()
    await (await network.attach(trial.place)).detach()
    return null
  } catch (error) {
    return (error as Error).message
  } finally {
    await trial?.end()
  }
}
