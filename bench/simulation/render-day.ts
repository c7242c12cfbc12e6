import { type Line, type Panel, renderLineChart } from '../line-chart.ts'
import { renderNumber } from '../render-number.ts'
import type { Summary } from '../statistics.ts'
import { table } from '../table.ts'
import type { DayReport } from './day-report.ts'
import type { DayCheck } from './judge-day.ts'

/** What a day was like, in lines. */
export function renderDay(report: DayReport): string[] {
  const { tasks, hours, slots, min, max, managers, realSeconds, cpuSeconds, requests } = report
  const { utilisation, growths, removals, overtakenInSilence, waitsMs, waitsInVainMs, samples, outcomes } = report
  const most = (of: 'leased' | 'waiting' | 'containers'): number => Math.max(...samples.map((one) => one[of]))
  return [
    `day       ${grouped(tasks)} leases in ${hours} h of simulated time; ${min} to ${grouped(max)} containers of ${slots} slots, ${managers} managers`,
    `took      ${renderNumber(realSeconds)} s, ${renderNumber(cpuSeconds)} s of a processor, ${grouped(requests)} requests to servers`,
    `pool      at most ${grouped(most('leased'))} slots leased, ${grouped(most('containers'))} containers, ${grouped(most('waiting'))} waiting; ` +
      `${growths} growths, ${grouped(removals)} removals; ${renderNumber(utilisation * 100)} % of the started slots leased`,
    `ended     ${Object.entries(outcomes)
      .sort(([, a], [, b]) => b - a)
      .map(([outcome, count]) => `${outcome} ${grouped(count)}`)
      .join(', ')}`,
    `waits     ${waitOf(waitsMs)}; in vain ${waitOf(waitsInVainMs)}; ${overtakenInSilence} overtaken while a container was silent`,
    '',
    ...table(
      ['leases had at once', 'ms p50', 'p99', 'cpu ms p50', 'p99', 'requests p50', 'p99', 'n'],
      report.costByContainers.map(({ from, to, n, ms, cpuMs, requests }) => [
        `${from} to ${to} containers`,
        ...[ms.p50, ms.p99, cpuMs.p50, cpuMs.p99, requests.p50, requests.p99].map(renderNumber),
        grouped(n),
      ]),
      1,
    ),
  ]
}

export function renderDayChecks(checks: readonly DayCheck[]): string[] {
  return checks.map(({ what, got, expected, holds }) => `${holds ? 'PASS' : 'FAIL'}  ${what}: ${got}, expected ${expected}`)
}

/** The day as a picture: what was there, who waited, what a lease cost, and memory. */
export function renderDayChart(report: DayReport, subtitle: string): string {
  const { samples, costs, memory, hours } = report
  const line = <T extends { hour: number }>(
    name: string,
    color: string,
    rows: readonly T[],
    of: (row: T) => number,
    filled = false,
  ): Line => ({
    name,
    color,
    filled,
    points: rows.filter((row) => row.hour <= hours).map((row) => [row.hour, of(row)] as const),
  })
  const panels: Panel[] = [
    {
      title: 'slots: started, and leased',
      lines: [line('started', '#cbd5e1', samples, (one) => one.slots, true), line('leased', '#2563eb', samples, (one) => one.leased, true)],
    },
    {
      title: 'utilisation: leased of started, %',
      lines: [line('leased of started', '#2563eb', samples, (one) => (one.slots === 0 ? 0 : (100 * one.leased) / one.slots))],
      height: 120,
    },
    { title: 'tasks that wait for a slot', lines: [line('waiting', '#dc2626', samples, (one) => one.waiting)], height: 120 },
    {
      title: 'fairness: waits of tenants in parts of those in one line for all (Jain, of that half hour), %',
      lines: [line('index', '#7c3aed', report.fairnessByHour, (one) => 100 * one.index)],
      height: 120,
    },
    {
      title: 'a lease that is had at once, processor ms',
      lines: [line('p99', '#fdba74', costs, (one) => one.cpuMs.p99), line('p50', '#ea580c', costs, (one) => one.cpuMs.p50)],
      height: 120,
    },
    {
      title: 'memory of the process with all managers, servers and clients, after garbage collection, MiB',
      lines: [line('heap', '#059669', memory, (one) => one.heapMiB)],
      height: 120,
    },
  ]
  return renderLineChart(`A day of ${grouped(report.tasks)} leases, simulated`, subtitle, panels, hours)
}

function waitOf(waits: Summary | null): string {
  if (waits === null) return 'none'
  return `${grouped(waits.n)}, p50 ${renderNumber(waits.p50 / 1_000)} s, p99 ${renderNumber(waits.p99 / 1_000)} s`
}

const grouped = (count: number): string => count.toLocaleString('en')
