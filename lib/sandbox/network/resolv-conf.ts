import { readFile } from 'node:fs/promises'
import { type Ipv4Range, ipv4Range, overlaps, parseIpv4Range } from './ipv4-range.ts'

/** What /etc/resolv.conf says, its name servers apart from the rest. */
export interface ResolvConf {
  /** In order: IPv4 and IPv6. */
  nameservers: string[]
  /** `search`, `options` and what else it has, as they are. */
  otherLines: string[]
}

export function parseResolvConf(content: string): ResolvConf {
  const nameservers: string[] = []
  const otherLines: string[] = []
  for (const line of content.split('\n')) {
    const [keyword, value] = line.trim().split(/\s+/)
    if (keyword === 'nameserver') nameservers.push(value ?? '')
    else if (keyword !== undefined && /^[a-z]/.test(keyword)) otherLines.push(line.trim())
  }
  return { nameservers, otherLines }
}

/** The server's own; one that is missing names nobody. */
export async function readResolvConf(path = '/etc/resolv.conf'): Promise<ResolvConf> {
  return parseResolvConf(await readFile(path, 'utf8').catch(() => ''))
}

/** The same for a slot, which asks these name servers instead. */
export function renderResolvConf({ otherLines }: ResolvConf, nameservers: readonly string[]): string {
  return [...nameservers.map((one) => `nameserver ${one}`), ...otherLines].map((line) => `${line}\n`).join('')
}

const loopback = ipv4Range('127.0.0.0/8')

/** The name servers that can be reached from a network namespace beside this one: not those of its loopback, nor by IPv6. */
export function routedNameservers({ nameservers }: ResolvConf): Ipv4Range[] {
  return nameservers.flatMap((one) => {
    const range = parseIpv4Range(one)
    return range === undefined || one.includes('/') || overlaps(range, loopback) ? [] : [range]
  })
}
