import { z } from 'zod'

/** What each slot may use; what is left out, the sandbox server chooses by what its container has. */
export interface SlotLimitOptions {
  /** `TERMINAL_LIMIT_MEMORY_MB` (in MiB): memory of all processes of the slot together. */
  memoryBytes?: number
  /** `TERMINAL_LIMIT_PROCESSES`: processes and threads at once. */
  processes?: number
  /** `TERMINAL_LIMIT_CPU_WEIGHT`: the slot's share where processors are wanted by several, 1 to 10,000; 100 is the usual. */
  cpuWeight?: number
  /** `TERMINAL_LIMIT_OPEN_FILES`: files that one process may have open. */
  openFiles?: number
  /** `TERMINAL_LIMIT_DISK_MB` (in MiB): what the slot may write to its files, all together. */
  diskBytes?: number
  /** `TERMINAL_LIMIT_OUTPUT_MB` (in MiB): what one command may write to stdout and stderr together. */
  outputBytes?: number
}

export const mebibyte = 1024 * 1024

/** Each with the least with which bash still starts and runs a program, and the most that Linux or a number can hold. */
const bounds: Record<keyof SlotLimitOptions, [least: number, most: number]> = {
  memoryBytes: [16 * mebibyte, 2 ** 50],
  processes: [16, 4_194_304],
  cpuWeight: [1, 10_000],
  openFiles: [64, 1_048_576],
  diskBytes: [4 * mebibyte, 2 ** 50],
  outputBytes: [1024, 2 ** 50],
}

export const slotLimitNames = Object.keys(bounds) as (keyof SlotLimitOptions)[]

/** One limit, as an option has it. */
export function slotLimit(name: keyof SlotLimitOptions): z.ZodType<number> {
  const [least, most] = bounds[name]
  const expected = name.endsWith('Bytes')
    ? `expected ${size(least)} to ${size(most)}, in whole MiB (with …Bytes: bytes)`
    : `expected a whole number from ${least} to ${most}`
  return z.int({ error: expected }).min(least, expected).max(most, expected)
}

function size(bytes: number): string {
  const [unit, name] = (
    [
      [2 ** 50, 'PiB'],
      [mebibyte, 'MiB'],
      [1024, 'KiB'],
    ] as const
  ).find(([unit]) => bytes >= unit) ?? [1, 'B']
  return `${bytes / unit} ${name}`
}
