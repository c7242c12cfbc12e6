import type { LimitsInForce } from '../wire/limits.ts'

/** Each limit in the words in which a person would say it. */
const words: Record<keyof LimitsInForce, (value: number) => string> = {
  memoryBytes: (value) => `memory ${size(value)}`,
  processes: (value) => `${value} processes`,
  cpuWeight: (value) => `CPU weight ${value}`,
  openFiles: (value) => `${value} open files`,
  diskBytes: (value) => `disk ${size(value)}`,
  outputBytes: (value) => `output ${size(value)}`,
}

/** One limit: `memory 2 GiB`. */
export function limitText(name: keyof LimitsInForce, value: number): string {
  return words[name](value)
}

/** All limits that hold: `memory 2 GiB, 512 processes, …`; the empty text where none does. */
export function limitsText(limits: LimitsInForce): string {
  return (Object.keys(words) as (keyof LimitsInForce)[])
    .flatMap((name) => {
      const inForce = limits[name]
      return inForce ? [limitText(name, inForce.value)] : []
    })
    .join(', ')
}

/** `1.5 GiB`: at most one digit behind the point. */
function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(bytes) / 10)))
  return `${Math.round((bytes / 1024 ** power) * 10) / 10} ${units[power]}`
}
