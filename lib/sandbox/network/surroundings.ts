import { runTool } from '../run-tool.ts'
import { formatIpv4, type Ipv4Range, parseIpv4Range } from './ipv4-range.ts'

/** What the network namespace of the server has; addresses and routes of IPv4 alone. */
export interface Surroundings {
  /** Every address of its interfaces. */
  addresses: Ipv4Range[]
  /** The routers that its routes lead over. */
  gateways: Ipv4Range[]
  /** Every destination that its routes name, the default left out. */
  routed: Ipv4Range[]
  /** The names of its interfaces. */
  interfaces: string[]
  /** The packet size of the interface that the default route leaves by, in bytes; undefined without one. */
  uplinkMtu?: number
}

interface Link {
  ifname: string
  mtu: number
  addr_info: { family?: string; local?: string }[]
}

interface Route {
  dst: string
  dev?: string
  gateway?: string
  via?: { host: string }
  nexthops?: { gateway?: string; dev?: string }[]
}

/** Looks at interfaces and routes, those that `ignore` names left out. */
export async function readSurroundings(ignore: (interfaceName: string) => boolean = () => false): Promise<Surroundings> {
  const [links, routes] = await Promise.all([
    json<Link>(['ip', '-json', 'address', 'show']),
    json<Route>(['ip', '-json', '-4', 'route', 'show', 'table', 'all']),
  ])
  const known = links.filter((link) => !ignore(link.ifname))
  const used = routes.filter((route) => !ignore(route.dev ?? ''))
  const hops = used.flatMap((route) => [route, ...(route.nexthops ?? [])])
  const uplink = used.find((route) => route.dst === 'default')
  const uplinkName = uplink?.dev ?? uplink?.nexthops?.[0]?.dev
  const uplinkMtu = known.find((link) => link.ifname === uplinkName)?.mtu
  return {
    addresses: ranges(known.flatMap((link) => link.addr_info.map(({ family, local }) => (family === 'inet' ? local : undefined)))),
    interfaces: known.map((link) => link.ifname),
    gateways: ranges(hops.map((hop) => hop.gateway)),
    routed: ranges(used.map((route) => route.dst)),
    ...(uplinkMtu === undefined ? {} : { uplinkMtu }),
  }
}

async function json<T>(program: readonly string[]): Promise<T[]> {
  const said = await runTool(program)
  return said.trim() === '' ? [] : (JSON.parse(said) as T[])
}

/** Each once; `default` and the like are no ranges. */
function ranges(texts: readonly (string | undefined)[]): Ipv4Range[] {
  const found = new Map<string, Ipv4Range>()
  for (const text of texts) {
    const range = text === undefined ? undefined : parseIpv4Range(text)
    if (range !== undefined) found.set(`${formatIpv4(range.first)}/${range.prefixLength}`, range)
  }
  return [...found.values()]
}
