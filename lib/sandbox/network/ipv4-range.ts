/** A range of IPv4 addresses as routes and filters take it: `10.0.0.0/8`. */
export interface Ipv4Range {
  /** The first address as a number, 0 to 2^32 - 1. */
  readonly first: number
  /** How many leading bits all addresses of the range share, 0 to 32. */
  readonly prefixLength: number
}

/** An address (`192.0.2.1`) or a range (`192.0.2.0/24`); undefined when the text is neither. Bits behind the prefix are ignored. */
export function parseIpv4Range(text: string): Ipv4Range | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text)
  if (!match) return undefined
  const bytes = match.slice(1, 5).map(Number)
  const prefixLength = match[5] === undefined ? 32 : Number(match[5])
  if (prefixLength > 32 || bytes.some((byte) => byte > 255)) return undefined
  const address = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
  const size = 2 ** (32 - prefixLength)
  return { first: Math.floor(address / size) * size, prefixLength }
}

/** The range that the constant text names. */
export function ipv4Range(text: string): Ipv4Range {
  const range = parseIpv4Range(text)
  if (range === undefined) throw new TypeError(`got ${text}, expected an IPv4 address or range`)
  return range
}

/** `192.0.2.1` from its number. */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

export function formatIpv4Range({ first, prefixLength }: Ipv4Range): string {
  return `${formatIpv4(first)}/${prefixLength}`
}

/** Whether the ranges have an address in common. */
export function overlaps(a: Ipv4Range, b: Ipv4Range): boolean {
  return a.first < b.first + 2 ** (32 - b.prefixLength) && b.first < a.first + 2 ** (32 - a.prefixLength)
}
