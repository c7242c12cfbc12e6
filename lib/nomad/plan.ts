import { z } from 'zod'
import type { NomadClient } from './client.ts'
import { placementMetric } from './evaluations.ts'

const changeTypes = z.enum(['None', 'Added', 'Deleted', 'Edited'])

const field = z.object({
  Type: changeTypes,
  Name: z.string(),
  Old: z.string(),
  New: z.string(),
  Annotations: z.array(z.string()).nullish(),
})

/** One thing in a job that changes, with what changes in it. */
export interface DiffPart {
  Fields?: z.infer<typeof field>[] | null | undefined
  Objects?: (DiffPart & { Type: z.infer<typeof changeTypes>; Name: string })[] | null | undefined
}

/** A job is less deep. */
const mostLevels = 8

function object(levels: number): z.ZodType<NonNullable<DiffPart['Objects']>[number]> {
  const within = levels > 0 ? z.array(object(levels - 1)).nullish() : z.null().optional()
  return z.object({ Type: changeTypes, Name: z.string(), Fields: z.array(field).nullish(), Objects: within })
}

const part = { Fields: z.array(field).nullish(), Objects: z.array(object(mostLevels)).nullish() }

const plan = z.object({
  Diff: z.object({
    Type: changeTypes,
    ID: z.string(),
    ...part,
    TaskGroups: z
      .array(
        z.object({
          Type: changeTypes,
          Name: z.string(),
          ...part,
          Updates: z.record(z.string(), z.number()).nullish(),
          Tasks: z.array(z.object({ Type: changeTypes, Name: z.string(), ...part, Annotations: z.array(z.string()).nullish() })).nullish(),
        }),
      )
      .nullish(),
  }),
  FailedTGAllocs: z.record(z.string(), placementMetric).nullish(),
  Warnings: z.string().nullish(),
  JobModifyIndex: z.int(),
})

/** What registering a job would change, as Nomad says it. */
export type JobPlan = z.infer<typeof plan>
/** Has Nomad say what registering this job would do, and does nothing. Needs `submit-job` where ACLs are on. */
export async function planJob(client: NomadClient, spec: { ID: string } & Record<string, unknown>, signal?: AbortSignal): Promise<JobPlan> {
  const { value } = await client.request({
    method: 'PUT',
    path: `/v1/job/${encodeURIComponent(spec.ID)}/plan`,
    body: { Job: spec, Diff: true },
    schema: plan,
    purpose: `plan job ${spec.ID}`,
    signal,
  })
  return value
}
