import { lookup } from 'node:dns/promises'
import { type Ipv4Range, parseIpv4Range } from './ipv4-range.ts'

/** `NOMAD_ADDR`, and for each port `NOMAD_ADDR_http`, `NOMAD_IP_http`, `NOMAD_HOST_ADDR_http` and `NOMAD_HOST_IP_http`. */
const addressVariable = /^NOMAD_(HOST_)?(ADDR|IP)(_|$)/

/** The addresses of Nomad and of the node that the environment names: the node's may be public ones, with all that listens there. */
export async function nomadAddresses(environment: NodeJS.ProcessEnv): Promise<Ipv4Range[]> {
  const hosts = new Set<string>()
  for (const [name, value] of Object.entries(environment)) {
    const host = addressVariable.test(name) && value ? hostOf(value) : undefined
    if (host !== undefined) hosts.add(host)
  }
  const found = await Promise.all([...hosts].map(addressesOf))
  return found.flat()
}

/** The host of `http://nomad:4646`, `192.0.2.1:4646` or `192.0.2.1`. */
function hostOf(value: string): string | undefined {
  try {
    return new URL(value.includes('://') ? value : `tcp://${value}`).hostname
  } catch {
    return undefined
  }
}

async function addressesOf(host: string): Promise<Ipv4Range[]> {
  const range = parseIpv4Range(host)
  if (range !== undefined) return [range]
  try {
    const answers = await lookup(host, { all: true, family: 4 })
    return answers.flatMap(({ address }) => parseIpv4Range(address) ?? [])
  } catch {
    // It has no address here, or only one of IPv6, where slots cannot go.
    return []
  }
}
