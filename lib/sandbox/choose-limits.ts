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

/** Finds out which limits can be seen to here, by trying, and sets those that nobody asked for by what the machine has. */
export async function chooseLimits(options: { asked: SlotLimits; kind: JailKind; slotsFolder: string }): Promise<ChosenLimits> {
  const { asked, kind, slotsFolder } = options
  const [found, machine] = await Promise.all([ControlGroups.open(), readMachine(slotsFolder)])
  const groups = 'groups' in found ? found.groups : null
  const limits = decideLimits({
    asked,
    controllers: groups?.controllers ?? new Set(),
    // A server that is root gives each slot a uid of its own, unless the slot has root itself.
    ownUser: process.geteuid?.() === 0 && kind.user !== 'root' && kind.level !== 'none',
    machine,
  })
  return { limits, groups, reason: 'reason' in found ? found.reason : null }
}
