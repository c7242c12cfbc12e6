import { z } from 'zod'

/** A limit that a command can run into, as its end names it. */
export const limitNames = ['memory', 'processes', 'disk', 'output'] as const
export type LimitName = (typeof limitNames)[number]

const count = z.int().min(1)

/** What each slot may use; what is left out, the sandbox server chooses. */
export const slotLimits = z.strictObject({
  /** Memory of all its processes together, files in memory included. */
  memoryBytes: count.optional(),
  /** Processes and threads at once. */
  processes: count.optional(),
  /** Its share of the processors when others want them too: 1 to 10,000, where 100 is the usual. */
  cpuWeight: count.max(10_000).optional(),
  /** Files that one process may have open. */
  openFiles: count.optional(),
  /** What it may write to its workspace, home, tmp and root filesystem together. */
  diskBytes: count.optional(),
  /** What one command may write to stdout and stderr together. */
  outputBytes: count.optional(),
})
export type SlotLimits = z.infer<typeof slotLimits>

/** What sees to a limit: a control group of the slot, a limit of each process, a filesystem of the slot's own, or the sandbox server. */
export const limitMeans = ['cgroup', 'rlimit', 'filesystem', 'server'] as const

const inForce = z.object({ value: z.int(), by: z.enum(limitMeans) }).nullable()

/** The limits that hold for a slot, each with what sees to it; null where none holds. */
export const limitsInForce = z.object({
  memoryBytes: inForce,
  processes: inForce,
  cpuWeight: inForce,
  openFiles: inForce,
  diskBytes: inForce,
  outputBytes: inForce,
})
export type LimitsInForce = z.infer<typeof limitsInForce>

/** No limit at all. */
export const noLimits: LimitsInForce = {
  memoryBytes: null,
  processes: null,
  cpuWeight: null,
  openFiles: null,
  diskBytes: null,
  outputBytes: null,
}
