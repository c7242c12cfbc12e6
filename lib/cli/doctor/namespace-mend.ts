import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asRoot } from './as-root.ts'
import type { Machine } from './machine.ts'

/** Switches of the kernel that keep ordinary users from making namespaces: the value that forbids, and one that allows. */
const switches: readonly { name: string; forbids: string; allows: string }[] = [
  // Debian's and Arch's own.
  { name: 'kernel.unprivileged_userns_clone', forbids: '0', allows: '1' },
  { name: 'user.max_user_namespaces', forbids: '0', allows: '28633' },
  // Ubuntu's, from 23.10 on.
  { name: 'kernel.apparmor_restrict_unprivileged_userns', forbids: '1', allows: '0' },
]

/**
 * What would let bubblewrap, which is there, make namespaces: the kernel's switch that forbids it to ordinary users, else the options of
 * the container that this runs in. Null when it is neither.
 *
 * @param procSys where the kernel's switches are, default `/proc/sys`.
 */
export async function namespaceMend(machine: Machine, inContainer: boolean, procSys = '/proc/sys'): Promise<string | null> {
  if (!machine.isRoot) {
    for (const { name, forbids, allows } of switches) {
      if ((await readSwitch(procSys, name)) === forbids) return asRoot(machine, `sysctl -w ${name}=${allows}`)
    }
  }
  if (!inContainer) return null
  const unconfined = '--security-opt seccomp=unconfined --security-opt apparmor=unconfined'
  // Root needs no user namespace, but the right to make the others; anybody else gets that right from one, which cannot mount a new
  // /proc while Docker covers parts of the old.
  return machine.isRoot
    ? `docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE ${unconfined} …`
    : `docker run ${unconfined} --security-opt systempaths=unconfined …`
}

async function readSwitch(procSys: string, name: string): Promise<string | undefined> {
  try {
    return (await readFile(join(procSys, ...name.split('.')), 'utf8')).trim()
  } catch {
    // This kernel has no such switch.
    return undefined
  }
}
