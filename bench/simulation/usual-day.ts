import type { DayArguments } from './day-arguments.ts'
import { hourMs } from './day-workload.ts'
import type { ObserveOptions } from './observe-day.ts'

/** A day of rollouts, of that size: few before dawn and most in the afternoon, hundreds of them at once now and then, and containers that die. */
export function usualDay({ tasks, hours, containers, managers, medianMs, seed }: Omit<DayArguments, 'json' | 'svg'>): ObserveOptions {
  const size = containers / 1_000
  const part = hours / 24
  return {
    seed,
    workload: {
      tasks,
      lengthMs: hours * hourMs,
      tenants: 60,
      managers,
      bursts: { count: Math.ceil(120 * part), least: Math.max(2, 100 * size), most: Math.max(10, 900 * size) },
      durationMs: { median: medianMs, sigma: 1.5, least: 1_000, most: 4 * hourMs },
    },
    slots: 10,
    min: Math.max(1, Math.round(20 * size)),
    max: containers,
    lifetimeMs: 900_000,
    scaleDownMs: 300_000,
    startMs: 8_000,
    deaths: Math.ceil(24 * part),
    silences: { count: Math.ceil(12 * part), mostMs: 90_000 },
    sampleMs: 60_000,
    memoryMs: hours > 3 ? hourMs / 2 : hourMs / 6,
  }
}
