import { setTimeout as delay } from 'node:timers/promises'
import type { Bench } from './bench.ts'
import { Cleanup } from './cleanup.ts'

/** How long what a scenario does may go on after an interrupt, before what it made is taken from under it. */
const graceMs = 5_000

/**
 * Does a part of the run with a scope of its own, which is undone when it is over, however that is. What fails, in the part or in undoing it, is
 * reported; the rest of the run goes on.
 */
export async function runPart(bench: Bench, whole: Cleanup, name: string, work: (bench: Bench) => Promise<void>): Promise<void> {
  const scope = new Cleanup()
  whole.add(`end ${name}`, () => scope.run())
  const own: Bench = { ...bench, scope, progress: (line) => bench.progress(`${name}: ${line}`) }
  const working = work(own).catch((error: Error) => {
    if (!bench.signal.aborted) bench.report.failures.push({ what: name, why: error.stack ?? error.message })
  })
  const settled = new AbortController()
  await Promise.race([working, interrupted(bench.signal, settled.signal)])
  settled.abort()
  for (const { message } of await scope.run()) bench.report.failures.push({ what: name, why: message })
}

/** Resolves some time after an interrupt, and never without one. */
async function interrupted(signal: AbortSignal, settled: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true, signal: settled })
    })
  }
  await delay(graceMs, undefined, { signal: settled, ref: false }).catch(() => {})
}
