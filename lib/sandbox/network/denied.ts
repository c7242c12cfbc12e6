import { type Ipv4Range, ipv4Range, overlaps } from './ipv4-range.ts'

/**
 * What is never the outside, whoever runs the server: IANA's special-purpose registry without the ranges for documentation, which lead
 * nowhere. Among it are the metadata services of clouds: 169.254.169.254, 100.100.100.200, 192.0.0.192.
 */
const special = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  // Benchmarks; slots' own addresses are among them.
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Azure's agent of the host, a public address in form only.
  '168.63.129.16/32',
].map(ipv4Range)

/** Where slots may not go: what is special, and what else of the server's own surroundings is none of theirs. */
export function deniedRanges(surroundings: readonly Ipv4Range[]): Ipv4Range[] {
  const denied = [...special]
  for (const range of surroundings) {
    if (!denied.some((one) => one.prefixLength <= range.prefixLength && overlaps(one, range))) denied.push(range)
  }
  return denied
}
