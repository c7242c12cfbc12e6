import { z } from 'zod'

/** A limit that a command can run into, as its end names it. */
export const limitNames = ['memory', 'processes', 'disk', 'output'] as const
export type LimitName = (typeof limitNames)[number]

const least = (count: number) => z.int(`expected a whole number of at least ${count}`).min(count, `expected at least ${count}`)

const mib = 2 ** 20

/**
 * What each slot may use; what is left out, the sandbox server chooses. The least that each may be is what a slot takes to run
 * `bash -c 'echo hello | cat'`, with room for the slot's own processes.
 */
export const slotLimits = z.strictObject({
  /** Memory of all its processes together, files in memory included. A pipe of two programs in a jail took 2 MiB; at least 16 MiB. */
  memoryBytes: least(16 * mib).optional(),
  /** Processes and threads at once. Those that bring a command in count: a pipe of two took 5; at least 16. */
  processes: least(16).optional(),
  /** Its share of the processors when others want them too: 1 to 10,000, where 100 is the usual. */
  cpuWeight: least(1).max(10_000, 'expected at most 10000').optional(),
  /** Files that one process may have open. With 4 bubblewrap fails, with 6 it hung; at least 64. */
  openFiles: least(64).optional(),
  /** What it may write to its workspace, home, tmp and root filesystem together; a file counts as 4 KiB at least. At least 4 MiB. */
  diskBytes: least(4 * mib).optional(),
  /** What one command may write to stdout and stderr together. At least 1 KiB, so that an error can still be read. */
  outputBytes: least(1024).optional(),
})
export type SlotLimits = z.infer<typeof slotLimits>

/**
 * What sees to a limit: a control group of the slot; a limit of each process; a look at the slot's folders every so often, which ends the
 * command; the sandbox server.
 */
export const limitMeans = ['cgroup', 'rlimit', 'watch', 'server'] as const
export type LimitMeans = (typeof limitMeans)[number]

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
