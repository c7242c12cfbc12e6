import { access, constants } from 'node:fs/promises'
import { runTool } from '../run-tool.ts'
import type { NetworkPlace } from './network.ts'

/**
 * What every slot's namespace gets: loopback; ports below 1024 and ping for everybody, since not even the slot's root has rights over the
 * namespace. Its group ids may be too few for the second, which nothing depends on.
 */
const basics = `
set -euo pipefail
ip link set dev lo up
cd /proc/sys/net/ipv4
echo 0 > ip_unprivileged_port_start
{ echo '0 2147483647' > ping_group_range; } 2>/dev/null || { echo '0 0' > ping_group_range; } 2>/dev/null || true
`

/**
 * `$2`, where it is not empty, is the slot's interface. By IPv6 it would have an address, and so a way to the other end of its link,
 * without being given any.
 */
const inside = `${basics}
if [ -n "$2" ]; then
  if [ -e "/proc/sys/net/ipv6/conf/$2" ]; then echo 1 > "/proc/sys/net/ipv6/conf/$2/disable_ipv6"; fi
  printf '%s\\n' "$1" | ip -batch -
  if [ -n "$3" ]; then rules=$3; shift 3; printf '%s\\n' "$rules" | "$@"; fi
fi
`

/** `$1` is run in the server's own namespace, the rest in the slot's. */
const both = `
set -euo pipefail
if [ "$1" = fresh ]; then mount -t proc proc /proc; fi
eval "$2"
shift 2
exec nsenter "$@"
`

/** Whether the kernel's switches can only be written through a new /proc: Docker mounts those of a container read-only. */
async function needsFreshProc(): Promise<boolean> {
  try {
    await access('/proc/sys/net/ipv4/ip_forward', constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

/** Runs a shell script with a /proc whose switches of the network can be written where this user may write them at all. */
export async function runWithSwitches(script: string): Promise<void> {
  const fresh = await needsFreshProc()
  const mounted = fresh ? `mount -t proc proc /proc\n${script}` : script
  await runTool([...(fresh ? ['unshare', '--mount', '--'] : []), 'bash', '--norc', '-c', mounted])
}

/** What is done in the slot's namespace. */
export interface NamespaceSetup {
  /** A shell script that is run first, in the server's own namespace, with a /proc/sys that can be written. */
  before?: string
  /** The slot's interface, which `before` has made or which was there. */
  interfaceName?: string
  /** Lines for `ip -batch`: its addresses, routes and rules. */
  lines?: readonly string[]
  /** A program that sets a packet filter in the namespace, and what it reads. */
  filter?: { command: readonly string[]; rules: string }
}

/** Sets the namespace of a slot up from outside. @throws {Error} with what the tools complained of. */
export async function setUpNamespace(place: NetworkPlace, setup: NamespaceSetup): Promise<void> {
  const { before = '', interfaceName = '', lines = [], filter = { command: [], rules: '' } } = setup
  const fresh = await needsFreshProc()
  const user = place.userNamespaceOf === undefined ? [] : [`--user=/proc/${place.userNamespaceOf}/ns/user`, '--preserve-credentials']
  await runTool([
    ...(fresh ? ['unshare', '--mount', '--'] : []),
    ...['bash', '--norc', '-c', both, 'slotpool', fresh ? 'fresh' : '', before],
    ...[
      ...user,
      `--net=/proc/${place.pid}/ns/net`,
      '--',
      'bash',
      '--norc',
      '-c',
      inside,
      'slotpool',
      lines.join('\n'),
      interfaceName,
      filter.rules,
      ...filter.command,
    ],
  ])
}
