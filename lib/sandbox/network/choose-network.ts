import type { NetworkChoice } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { parseAllowed } from './allowed.ts'
import { LoopbackNetwork } from './loopback-network.ts'
import type { ChosenNetwork, SlotNetworkKind } from './network.ts'
import { SharedNetwork } from './shared-network.ts'
import { SlirpNetwork } from './slirp-network.ts'
import { TrialNamespace } from './trial-namespace.ts'
import { VethNetwork } from './veth-network.ts'

/** What a network is chosen by; see {@link chooseNetwork}. */
export interface NetworkOptions {
  network: NetworkChoice
  where: 'container' | 'host'
  allow: readonly string[]
  environment?: NodeJS.ProcessEnv
}

/**
 * The network that slots can have here, found by making one. `outbound` falls back to `host`, with the reason; `none` never falls back.
 *
 * @param options.where whether the server has a container to itself, whose network it may arrange, or is a process among others of a
 *   machine.
 * @param options.allow what slots may reach although it is denied else: IPv4 addresses and ranges, each perhaps with a port.
 * @param options.environment names Nomad's addresses. Default: the server's own.
 * @throws {SlotpoolError} `ISOLATION_UNAVAILABLE` when `none` was asked for and cannot be had; `CONFIG_INVALID` for `allow`.
 */
export async function chooseNetwork(options: NetworkOptions): Promise<ChosenNetwork> {
  return (await openNetwork(options)).tried()
}

/** A network that may work here; whoever makes a jail with it finds out, and asks for a trial where that failed. */
export interface OpenNetwork extends ChosenNetwork {
  /** What {@link chooseNetwork} says, found by making a network. When that is not this one, this one is closed. */
  tried(): Promise<ChosenNetwork>
}

/** The beginning of {@link chooseNetwork}, which throws the same. */
export async function openNetwork(options: NetworkOptions): Promise<OpenNetwork> {
  const allowed = options.allow.map(parseAllowed)
  if (options.network === 'host') return untried({ level: 'host', reason: null, network: new SharedNetwork() })
  if (options.network === 'none') {
    return untried({ level: 'none', reason: null, network: new LoopbackNetwork() }, (failure) => {
      throw new SlotpoolError('ISOLATION_UNAVAILABLE', `got network none, but a slot cannot be kept off the network here: ${failure}`)
    })
  }
  const needs =
    options.where === 'container'
      ? 'it takes root with CAP_NET_ADMIN in the container, and iproute2 and iptables in its image'
      : 'it takes slirp4netns, nftables or iptables (`apt-get install slirp4netns nftables`, or the same with `dnf`), iproute2 and /dev/net/tun'
  const shared = (failure: string): ChosenNetwork => ({
    ...{ level: 'host', reason: `TERMINAL_NETWORK=outbound: ${failure}; ${needs}` },
    network: new SharedNetwork(),
  })
  const terms = { allowed, environment: options.environment ?? process.env }
  try {
    const network = await (options.where === 'container' ? VethNetwork.open(terms) : SlirpNetwork.open(terms))
    return untried({ level: 'outbound', reason: null, network }, shared)
  } catch (error) {
    return untried(shared((error as Error).message))
  }
}

/** `otherwise` is what there is where it does not work; the shared one always does. */
function untried(chosen: ChosenNetwork, otherwise?: (failure: string) => ChosenNetwork): OpenNetwork {
  const tried = async (): Promise<ChosenNetwork> => {
    const failure = otherwise === undefined ? null : await tryNetwork(chosen.network)
    if (failure === null || otherwise === undefined) return chosen
    await chosen.network.close()
    return otherwise(failure)
  }
  return { ...chosen, tried }
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
