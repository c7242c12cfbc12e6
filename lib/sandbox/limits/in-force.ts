import type { LimitMeans, LimitsInForce, SlotLimits } from '../../wire/limits.ts'
import type { GroupController } from './control-groups.ts'
import type { Machine } from './machine.ts'

/** What a slot gets when nobody asked for anything else. */
const usual = { memoryShare: 3 / 4, processes: 1024, cpuWeight: 100, openFiles: 65_536, diskShare: 1 / 2 } as const

/**
 * The limits that hold for each slot: what was asked for, or else the usual, where there is something that can see to it.
 *
 * - memory: by control group; three quarters of what the container may use. Nothing else can see to the memory of several processes.
 * - processes: by control group, or by the limit of a user where a slot's processes have one of their own; 1024.
 * - cpuWeight: by control group; 100.
 * - openFiles: by each process's limit, never above the server's own; 65,536.
 * - disk: by watching; half of what is free where the slots lie.
 * - output: by the server; none.
 *
 * @param options.controllers What control groups can do here; empty when there are none.
 * @param options.ownUser Whether a slot's processes have a user to themselves that is not the machine's root.
 */
export function decideLimits(options: {
  asked: SlotLimits
  controllers: ReadonlySet<GroupController>
  ownUser: boolean
  machine: Machine
}): LimitsInForce {
  const { asked, controllers, ownUser, machine } = options
  const group = (controller: GroupController, value: number) => (controllers.has(controller) ? by('cgroup', value) : null)
  const processes = asked.processes ?? usual.processes
  return {
    memoryBytes: group('memory', asked.memoryBytes ?? Math.floor(machine.memoryBytes * usual.memoryShare)),
    processes: group('processes', processes) ?? (ownUser ? by('rlimit', processes) : null),
    cpuWeight: group('cpu', asked.cpuWeight ?? usual.cpuWeight),
    openFiles: by('rlimit', Math.min(asked.openFiles ?? usual.openFiles, machine.openFiles)),
    diskBytes: by('watch', asked.diskBytes ?? Math.floor(machine.freeDiskBytes * usual.diskShare)),
    outputBytes: asked.outputBytes === undefined ? null : by('server', asked.outputBytes),
  }
}

function by(means: LimitMeans, value: number) {
  return { value, by: means }
}
