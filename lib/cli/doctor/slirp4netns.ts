import { findProgram } from '../../backend/find-program.ts'
import type { Config } from '../../config.ts'
import { chooseNetwork } from '../../sandbox/network/choose-network.ts'
import type { Check } from './check.ts'
import { type Installable, installCommand } from './install-command.ts'
import type { Machine } from './machine.ts'
import { programVersion } from './program-version.ts'
import { tunMend } from './tun-mend.ts'

const name = 'slirp4netns'

/** What a network of its own is made with on a host: a program each, any of them, and the package that has the first. */
const networkPrograms: readonly { programs: readonly string[]; part: Installable }[] = [
  { programs: ['slirp4netns'], part: 'slirp4netns' },
  { programs: ['nft', 'iptables'], part: 'nftables' },
  { programs: ['ip'], part: 'iproute2' },
  { programs: ['nsenter'], part: 'util-linux' },
]

/** Whether slots of the local backend can have a network of their own whose only way is outward, and what they have otherwise. */
export async function checkSlirp4netns({ network }: Config, machine: Machine, signal: AbortSignal): Promise<Check> {
  if (machine.platform !== 'linux') return { name, found: false, version: null, detail: 'runs on Linux only; use docker', mend: null }
  const path = findProgram('slirp4netns', machine.toolPath)
  const version = path === undefined ? null : await programVersion(path, ['--version'], { PATH: machine.toolPath }, signal)
  const missing = networkPrograms.filter(({ programs }) => programs.every((one) => findProgram(one, machine.toolPath) === undefined))
  const failure = missing.length > 0 ? `no ${named(missing)} in ${machine.toolPath}` : await trialNetwork()
  const seen = failure ?? `${path} gives a slot its own way outward here ${machine.isRoot ? 'as root' : 'as an ordinary user'}`
  const had = network === 'outbound' && failure !== null ? 'host' : network
  return {
    name,
    found: path !== undefined,
    version,
    detail: `${seen}; with TERMINAL_NETWORK=${network} local slots have network ${had}`,
    mend: failure === null ? null : missing.length > 0 ? install(machine, missing) : await tunMend(machine),
  }
}

function named(missing: typeof networkPrograms): string {
  return missing.map(({ programs }) => programs.join(' or ')).join(', ')
}

/** Null when a namespace could be given a network as the local backend would give it, else why not. */
async function trialNetwork(): Promise<string | null> {
  const { network, reason } = await chooseNetwork({ network: 'outbound', where: 'host', allow: [] })
  await network.close()
  return reason === null ? null : reason.replace('TERMINAL_NETWORK=outbound: ', '').replace(/; it takes slirp4netns.*$/, '')
}

function install(machine: Machine, missing: readonly { part: Installable }[]): string | null {
  const [first, ...others] = missing.map(({ part }) => part)
  return first === undefined ? null : (installCommand(machine, first, ...others) ?? null)
}
