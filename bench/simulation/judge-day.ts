import { renderNumber } from '../render-number.ts'
import type { DayReport } from './day-report.ts'

/** Something that must hold of a day, and what it was. */
export interface DayCheck {
  what: string
  got: string
  expected: string
  holds: boolean
}

/** How much a lease of the fullest hours may cost of one of the emptiest; the same bound as that of `pool-scale`. */
const mostCost = 1.5
/** So much of the heap may come with nothing but time, in MiB an hour. */
const mostSlope = 1
const leastFairness = 0.8

/** A figure that could not be had for so short a day is not judged. */
export function judgeDay(report: DayReport): DayCheck[] {
  const { heapSlope, costByContainers, fairness, left, overshoot } = report
  const [few, many] = [costByContainers[0], costByContainers.at(-1)]
  const none = (what: string, count: number): DayCheck => ({ what, got: String(count), expected: '0', holds: count === 0 })
  return [
    ...(heapSlope === null
      ? []
      : [
          {
            what: 'memory that comes with time, while the pool stays as large as it is',
            got: `${renderNumber(heapSlope)} MiB an hour`,
            expected: `at most ${mostSlope}`,
            holds: heapSlope <= mostSlope,
          },
        ]),
    ...(few && many && few !== many
      ? [
          {
            what: `a lease with ${many.from} to ${many.to} containers against one with ${few.from} to ${few.to}, processor time, p50`,
            got: `${renderNumber(many.cpuMs.p50 / few.cpuMs.p50)} ×`,
            expected: `at most ${mostCost}`,
            holds: many.cpuMs.p50 / few.cpuMs.p50 <= mostCost,
          },
        ]
      : []),
    ...(fairness.tenants < 2
      ? []
      : [
          {
            what: `fairness between ${fairness.tenants} tenants: their waits in parts of those in one line for all (Jain)`,
            got: renderNumber(fairness.index),
            expected: `at least ${leastFairness}`,
            holds: fairness.index >= leastFairness,
          },
        ]),
    none('served before somebody of the same manager who had come before', report.overtaken),
    none('commands that found what another task had left', report.foreign),
    none('tasks with two slots', report.second),
    none('moments with more containers than the pool may have', report.outOfBounds),
    none('containers asked for beyond what was needed', overshoot.all),
    none('leases, slots held and waiting in the end', left.leased + left.held + left.waiting),
    none('containers when the pool was taken down', left.containers),
    none('timers when it was', left.timers),
  ]
}
