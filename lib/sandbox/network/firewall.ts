import { runTool } from '../run-tool.ts'
import type { AddressBlock } from './address-block.ts'
import { formatIpv4Range } from './ipv4-range.ts'
import type { SlotReach } from './slot-rules.ts'

/** The same program by three names: what the system prefers, then each of its two ways into the kernel. */
const variants = ['iptables', 'iptables-nft', 'iptables-legacy'] as const

/** What one block's rules are called, and where the system's own chains lead to them. */
function chainsOf(block: AddressBlock) {
  const name = (part: string): string => `SLOTPOOL-${block.number}-${part}`
  const any = `${block.interfacePrefix}+`
  const [out, back, self] = [name('OUT'), name('BACK'), name('SELF')]
  return {
    any,
    out,
    back,
    self,
    // Before all other rules: those of an engine may let through what comes from a neighbour.
    filterJumps: [`INPUT -i ${any} -j ${self}`, `FORWARD -o ${any} -j ${back}`, `FORWARD -i ${any} -j ${out}`],
    natJump: `POSTROUTING -s ${block} ! -o ${any} -j MASQUERADE`,
  }
}

/**
 * The rules for all slots of a server, as `iptables-restore` reads them. Slots reach the outside and what is allowed; nothing reaches a
 * slot but answers; nobody reaches the server's own namespace through them, except the relay of look-ups where there is one.
 *
 * @param options.bounded whether one slot's flood is held back: of connections, whose table all slots share with the server itself, and of
 *   look-ups, which the server's own process passes on. It takes parts of the kernel that not every machine has.
 */
export function firewallRules(
  block: AddressBlock,
  { nameservers, allowed, denied }: SlotReach,
  { relay, bounded }: { relay: boolean; bounded: boolean },
): string {
  const { any, out, back, self, filterJumps, natJump } = chainsOf(block)
  const ports = (port: number | undefined): string[] =>
    port === undefined ? [''] : ['tcp', 'udp'].map((one) => ` -p ${one} --dport ${port}`)
  const to = (range: SlotReach['denied'][number], port?: number): string[] => ports(port).map((one) => `-d ${formatIpv4Range(range)}${one}`)
  const lookUps = bounded ? ` ${fewLookUps(block)}` : ''
  return lines(
    '*filter',
    ...[out, back, self].map((chain) => `:${chain} - [0:0]`),
    `-A ${out} ! -s ${block} -j DROP`,
    // No exception of an operator's lets one slot to another.
    `-A ${out} -o ${any} -j DROP`,
    `-A ${out} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    ...(bounded ? [`-A ${out} ${tooManyConnections} -j DROP`] : []),
    ...nameservers.flatMap((one) => to(one, 53)).map((match) => `-A ${out} ${match} -j ACCEPT`),
    ...allowed.flatMap(({ range, port }) => to(range, port)).map((match) => `-A ${out} ${match} -j ACCEPT`),
    ...denied.flatMap((range) => to(range)).map((match) => `-A ${out} ${match} -j DROP`),
    `-A ${out} -j ACCEPT`,
    `-A ${back} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `-A ${back} -j DROP`,
    ...(relay ? ports(53).map((port) => `-A ${self} -d ${block.resolverAddress}/32${port}${lookUps} -j ACCEPT`) : []),
    `-A ${self} -j DROP`,
    ...filterJumps.map((jump) => `-I ${jump}`),
    'COMMIT',
    '*nat',
    `-I ${natJump}`,
    'COMMIT',
  )
}

/** Connections that one slot may have at once; the kernel's table has room for some hundred thousand. */
const maxConnections = 4096
const tooManyConnections = `-m connlimit --connlimit-above ${maxConnections} --connlimit-mask 32 --connlimit-saddr`

/** Packets with look-ups from one slot. */
function fewLookUps(block: AddressBlock): string {
  return `-m hashlimit --hashlimit-upto 200/sec --hashlimit-burst 400 --hashlimit-mode srcip --hashlimit-name slotpool-${block.number}`
}

/** What takes a block's rules away again, from what `iptables-save` shows of them; empty when it shows none. */
export function removalOf(block: AddressBlock, saved: string): string {
  const { any, out, back, self } = chainsOf(block)
  const chains = [out, back, self]
  const jumps = { filter: [] as string[], nat: [] as string[] }
  const found = new Set<string>()
  let table = ''
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1)
    const words = line.split(' ')
    if (table === 'filter' && words[0]?.startsWith(':') && chains.includes(words[0].slice(1))) found.add(words[0].slice(1))
    if (words[0] !== '-A' || !words.includes(any) || chains.includes(words[1] ?? '')) continue
    if (table === 'filter' || table === 'nat') jumps[table].push(`-D${line.slice(2)}`)
  }
  const filter = [...jumps.filter, ...[...found].map((chain) => `-F ${chain}`), ...[...found].map((chain) => `-X ${chain}`)]
  return [...section('filter', filter), ...section('nat', jumps.nat)].map((line) => `${line}\n`).join('')
}

function section(table: string, rules: readonly string[]): string[] {
  return rules.length === 0 ? [] : [`*${table}`, ...rules, 'COMMIT']
}

function lines(...all: string[]): string {
  return all.map((line) => `${line}\n`).join('')
}

/** The packet filter of the server's network namespace. */
export class Firewall {
  readonly #variant: string

  private constructor(variant: string) {
    this.#variant = variant
  }

  /**
   * Sets the first of the given rules that can be set here, in one go. What another server left under the block's names goes first.
   *
   * @throws {Error} with what kept the last of them from being set.
   */
  static async open(block: AddressBlock, choices: readonly string[]): Promise<Firewall> {
    let firstFailure: unknown
    for (const variant of variants) {
      const firewall = new Firewall(variant)
      let failure: unknown
      for (const rules of choices) {
        try {
          await firewall.remove(block)
          await firewall.#restore(rules)
          return firewall
        } catch (error) {
          failure = error
          // Of two tables the first may be there.
          await firewall.remove(block).catch(() => {})
        }
      }
      // What the system prefers is what can be mended.
      firstFailure ??= failure
    }
    throw firstFailure
  }

  /** Takes the block's rules away, where there are any. */
  async remove(block: AddressBlock): Promise<void> {
    const removal = removalOf(block, await runTool([`${this.#variant}-save`]))
    if (removal !== '') await this.#restore(removal)
  }

  async #restore(rules: string): Promise<void> {
    await runTool([`${this.#variant}-restore`, '--noflush', '--wait'], rules)
  }
}
