import type { EngineAddress } from '../../backend/docker/engine-address.ts'
import { mendCommand } from '../../backend/docker/mend-command.ts'
import { asRoot } from './as-root.ts'
import { installCommand } from './install-command.ts'
import { findAdminProgram, type Machine } from './machine.ts'

/**
 * What would make the engine answer. A socket that this user may not use is another matter than one that nobody listens at, and that is
 * another than no engine at all.
 *
 * @param errorCode of the failed connection, such as `EACCES`.
 */
export function dockerMend(address: EngineAddress, errorCode: string | undefined, machine: Machine): string | null {
  // Whatever named the socket, it is there and its group is what lets one in.
  if (errorCode === 'EACCES' || errorCode === 'EPERM') return mendCommand({ ...address, namedBy: null }, errorCode)
  if (address.namedBy !== null || machine.platform !== 'linux') return mendCommand(address, errorCode)
  if (findAdminProgram('dockerd', machine) === undefined) return installCommand(machine, 'docker') ?? null
  if (machine.init === 'systemd') return asRoot(machine, 'systemctl start docker')
  if (machine.init === 'openrc') return asRoot(machine, 'rc-service docker start')
  return asRoot(machine, 'dockerd &')
}
