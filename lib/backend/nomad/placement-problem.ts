import type { NomadDriver } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { Evaluation } from '../../nomad/evaluations.ts'
import { generationOf, nomadDriverOf } from '../../nomad/job-spec.ts'
import { placementFailure } from '../../nomad/placement-failure.ts'

/**
 * Why Nomad places no more containers of the pool, or null while it may. `awaited` is the evaluation of this process's own change: until it
 * is done, those before it say nothing about it.
 */
export function placementProblem(
  evaluations: readonly Evaluation[],
  jobId: string,
  awaited: string | undefined,
  driver?: NomadDriver,
): SlotpoolError | null {
  const own = awaited === undefined ? undefined : evaluations.find((one) => one.ID === awaited)
  if (awaited !== undefined && (own === undefined || own.Status === 'pending')) return null
  if (own?.Status === 'failed') {
    return new SlotpoolError(
      'NOMAD_PLACEMENT_FAILED',
      `Nomad's scheduler failed for job ${jobId}: ${own.StatusDescription || 'no reason given'}`,
      {
        details: { jobId, evaluation: own.ID },
      },
    )
  }
  // A blocked evaluation waits for room; Nomad cancels it once all is placed.
  const telling = [own, ...evaluations.filter((one) => one.Status === 'blocked')]
  for (const evaluation of telling) {
    for (const group of Object.keys(evaluation?.FailedTGAllocs ?? {})) {
      const failure = evaluation && generationOf(group) !== undefined && placementFailure(evaluation, jobId, group, nomadDriverOf(driver))
      if (failure) return failure
    }
  }
  return null
}
