import { z } from 'zod'
import { type BlockingParameters, blockingTimeoutMs, followQuery } from './blocking-query.ts'
import type { Indexed, NomadClient } from './client.ts'

/** Nomad leaves out of evaluations and their metrics what is zero, empty or null. */
const counts = z.record(z.string(), z.int()).nullish()

export const placementMetric = z.object({
  NodesEvaluated: z.int().default(0),
  NodesInPool: z.int().optional(),
  NodePool: z.string().optional(),
  NodesAvailable: counts,
  ClassFiltered: counts,
  ConstraintFiltered: counts,
  NodesExhausted: z.int().default(0),
  ClassExhausted: counts,
  DimensionExhausted: counts,
  QuotaExhausted: z.array(z.string()).nullish(),
  CoalescedFailures: z.int().default(0),
})
/** Why no node took an allocation. */
export type PlacementMetric = z.infer<typeof placementMetric>

const evaluation = z.object({
  ID: z.string(),
  /** `pending`, `blocked` (waits for room), `complete`, `failed` or `canceled`. */
  Status: z.string(),
  StatusDescription: z.string().default(''),
  /** The evaluation that waits for room in its stead; empty when there is none. */
  BlockedEval: z.string().default(''),
  FailedTGAllocs: z.record(z.string(), placementMetric).nullish(),
})
/** One run of Nomad's scheduler over a job. */
export type Evaluation = z.infer<typeof evaluation>

/** The evaluations of a job, in no particular order; none when there is no such job. */
export async function listJobEvaluations(
  client: NomadClient,
  jobId: string,
  parameters: BlockingParameters = {},
  signal?: AbortSignal,
): Promise<Indexed<Evaluation[]>> {
  return client.request({
    path: `/v1/job/${encodeURIComponent(jobId)}/evaluations`,
    query: { ...parameters },
    schema: z.array(evaluation),
    purpose: `read the evaluations of job ${jobId}`,
    signal,
    ...(parameters.index === undefined ? {} : { timeoutMs: blockingTimeoutMs }),
  })
}

/** Resolves when Nomad's scheduler has done with the evaluation, or forgot it. The empty id stands for none. */
export async function waitForEvaluation(client: NomadClient, id: string, signal: AbortSignal): Promise<void> {
  if (id === '') return
  const done = new AbortController()
  const either = AbortSignal.any([signal, done.signal])
  await followQuery(
    (parameters) =>
      client.find({
        path: `/v1/evaluation/${encodeURIComponent(id)}`,
        query: { ...parameters },
        schema: evaluation,
        purpose: `read evaluation ${id}`,
        signal: either,
        ...(parameters.index === undefined ? {} : { timeoutMs: blockingTimeoutMs }),
      }),
    (value) => {
      if (value?.Status !== 'pending') done.abort()
    },
    either,
  )
}
