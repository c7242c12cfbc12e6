import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../../errors.ts'
import type { AllocationStub } from '../../nomad/allocations.ts'
import { taskName, toolsTaskName } from '../../nomad/job-spec.ts'
import { failedTask, hasRun, pullFailure, taskFailure } from '../../nomad/task-failure.ts'
import { stderrTail } from '../../nomad/task-log.ts'
import { findError } from '../../wire/error.ts'
import type { NomadPool } from './nomad-pool.ts'

/** How a sandbox server that cannot start begins its last line. */
const marker = 'slotpool-error: '

/** Enough for the last lines of a start that failed. */
const logBytes = 16 * 1024
const shownLines = 20

/** For how long, and after what pauses, a log that is empty or cannot be read is looked at again. */
const patienceMs = 4_000
const pauseMs = 250

/** Why an allocation ended by itself: the sandbox server's own error where it printed one, else Nomad's words and its last lines. */
export async function startFailure(pool: NomadPool, allocation: AllocationStub, signal: AbortSignal): Promise<SlotpoolError> {
  const task = failedTask(allocation) ?? taskName
  const { image, toolsImage = image } = pool.job
  const failure = taskFailure(allocation, task === toolsTaskName ? toolsImage : image)
  if (!hasRun(allocation, task)) return failure
  const lines = (await readLog(pool, allocation, task, signal)).split('\n').filter((line) => line.trim() !== '')
  const marked = lines.findLast((line) => line.startsWith(marker))
  const own = marked === undefined ? undefined : findError(marked.slice(marker.length))
  if (own !== undefined) return own
  const pull = pool.job.driver === 'singularity' ? pullFailure(failure, lines.join('\n')) : undefined
  if (pull !== undefined) return pull
  const tail = lines.slice(-shownLines).join('\n')
  const said = tail === '' ? 'it printed nothing' : `its last lines:\n${tail}`
  return new SlotpoolError(failure.code, `${failure.message}; ${said}`, { details: { ...failure.details, output: tail } })
}

/**
 * What a task that has ended wrote. Nomad says that it ended before it has collected all that it wrote, or has a file for it, so it is looked
 * at again for a while. One that cannot be read (the node went away with it) must not hide what Nomad says.
 */
async function readLog(pool: NomadPool, allocation: AllocationStub, task: string, signal: AbortSignal): Promise<string> {
  for (const giveUpAt = performance.now() + patienceMs; ; ) {
    const said = await stderrTail(pool.client, allocation.ID, task, logBytes, signal).catch((error: unknown) => {
      if (error instanceof SlotpoolError && error.code !== 'CANCELLED') return ''
      throw error
    })
    if (said !== '' || performance.now() > giveUpAt) return said
    await delay(pauseMs, undefined, { signal }).catch(() => undefined)
  }
}
