import { formatIpv4Range, type Ipv4Range } from './ipv4-range.ts'
import type { SlotReach } from './slot-rules.ts'

/** One program that sets a packet filter: what it is run as, and what it is to read. */
export interface OutputFilter {
  readonly name: string
  readonly command: readonly string[]
  /** The rules for what leaves by an interface of the namespace it is run in. */
  rules(interfaceName: string, reach: SlotReach): string
}

type Verdict = 'accept' | 'drop'

/** Every destination with what becomes of it, the first that matches. What none matches passes. */
function verdicts({ nameservers, allowed, denied }: SlotReach): { range: Ipv4Range; port?: number; verdict: Verdict }[] {
  return [
    ...nameservers.map((range) => ({ range, port: 53, verdict: 'accept' as const })),
    ...allowed.map(({ range, port }) => ({ range, ...(port === undefined ? {} : { port }), verdict: 'accept' as const })),
    ...denied.map((range) => ({ range, verdict: 'drop' as const })),
  ]
}

const viaNft: OutputFilter = {
  name: 'nft',
  command: ['nft', '-f', '-'],
  rules: (interfaceName, reach) =>
    [
      'table ip slotpool {',
      'chain output {',
      'type filter hook output priority 0; policy accept;',
      `oifname != "${interfaceName}" accept`,
      ...verdicts(reach).map(({ range, port, verdict }) => {
        const ports = port === undefined ? '' : ` meta l4proto { tcp, udp } th dport ${port}`
        return `ip daddr ${formatIpv4Range(range)}${ports} ${verdict}`
      }),
      '}',
      '}',
      '',
    ].join('\n'),
}

function viaIptables(name: string): OutputFilter {
  return {
    name,
    command: [`${name}-restore`, '--noflush', '--wait'],
    rules: (interfaceName, reach) =>
      [
        '*filter',
        ...verdicts(reach).flatMap(({ range, port, verdict }) => {
          const match = `-A OUTPUT -o ${interfaceName} -d ${formatIpv4Range(range)}`
          const ports = port === undefined ? [''] : ['tcp', 'udp'].map((one) => ` -p ${one} --dport ${port}`)
          return ports.map((one) => `${match}${one} -j ${verdict.toUpperCase()}`)
        }),
        'COMMIT',
        '',
      ].join('\n'),
  }
}

/** The programs that may be there, the leanest first. */
export const outputFilters: readonly OutputFilter[] = [viaNft, ...['iptables', 'iptables-nft', 'iptables-legacy'].map(viaIptables)]
