import { access, constants } from 'node:fs/promises'
import { asRoot } from './as-root.ts'
import type { Machine } from './machine.ts'

/**
 * What lets this user make the interface of a user-mode network. Null when the device is usable: it is something else that is amiss.
 *
 * @param device default `/dev/net/tun`.
 */
export async function tunMend(machine: Machine, device = '/dev/net/tun'): Promise<string | null> {
  try {
    await access(device, constants.R_OK | constants.W_OK)
    return null
  } catch (error) {
    // Modules of the kernel make it; most distributions open it to everybody, since it gives no rights by itself.
    return asRoot(machine, (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'modprobe tun' : `chmod 666 ${device}`)
  }
}
