import type { LimitsInForce, SlotLimits } from '../wire/limits.ts'
import type { JailKind } from './jail/jail.ts'
import { ControlGroups } from './limits/control-groups.ts'
import { decideLimits } from './limits/in-force.ts'
import { readMachine } from './limits/machine.ts'

/** The limits in force, and what sees to those that take control groups; null where there are none. */
export interface ChosenLimits {
  limits: LimitsInForce
  groups: ControlGroups | null
  /** Why there are no control groups. */
  reason: string | null
}

/**
 * Finds out which limits can be seen to here, by trying, and sets those that nobody asked for by what the machine has. `kind` may still be
 * on its way: most of it goes on beside.
 *
 * @throws what `kind` is rejected with. No control groups are left then.
 */
export async function chooseLimits(options: {
  asked: SlotLimits
  kind: JailKind | Promise<JailKind>
  slotsFolder: string
}): Promise<ChosenLimits> {
  const { asked, slotsFolder } = options
  const choosing = Promise.resolve(options.kind)
  const settled = choosing.catch(() => {})
  const [found, machine] = await Promise.all([ControlGroups.open({ alone: settled }), readMachine(slotsFolder)])
  const groups = 'groups' in found ? found.groups : null
  const kind = await choosing.catch(async (error: unknown) => {
    await groups?.close()
    throw error
  })
  const limits = decideLimits({
    asked,
    controllers: groups?.controllers ?? new Set(),
    // A server that is root gives each slot a uid of its own, unless the slot has root itself.
    ownUser: process.geteuid?.() === 0 && kind.user !== 'root' && kind.level !== 'none',
    machine,
  })
  return { limits, groups, reason: 'reason' in found ? found.reason : null }
}
