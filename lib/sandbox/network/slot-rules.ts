import type { Allowed } from './allowed.ts'
import { formatIpv4Range, type Ipv4Range } from './ipv4-range.ts'

/** Where a slot may go. */
export interface SlotReach {
  /** Name servers: their port 53, whatever else is denied. */
  nameservers: readonly Ipv4Range[]
  allowed: readonly Allowed[]
  denied: readonly Ipv4Range[]
}

/**
 * The same as rules of routing inside the slot's namespace, as lines for `ip -batch`: what is denied fails at once with "Permission
 * denied". They are a courtesy, the packet filter is what holds: a socket bound to the interface ignores them. They come after the routes,
 * since the kernel asks them for a route's gateway too.
 */
export function slotRules({ nameservers, allowed, denied }: SlotReach): string[] {
  const selectors = [
    ...nameservers.flatMap((one) => withPort(one, 53).map((selector) => `${selector} lookup main`)),
    ...allowed.flatMap(({ range, port }) => withPort(range, port).map((selector) => `${selector} lookup main`)),
    ...denied.map((range) => `to ${formatIpv4Range(range)} prohibit`),
  ]
  return selectors.map((selector, index) => `rule add pref ${100 + index} ${selector}`)
}

function withPort(range: Ipv4Range, port: number | undefined): string[] {
  const to = `to ${formatIpv4Range(range)}`
  return port === undefined ? [to] : ['tcp', 'udp'].map((protocol) => `${to} ipproto ${protocol} dport ${port}`)
}
