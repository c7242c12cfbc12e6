import { z } from 'zod'
import type { NomadClient } from './client.ts'

/** A job as Nomad keeps it. Fields not named here are kept as they came, so that it can be registered again unchanged. */
const job = z.looseObject({
  ID: z.string(),
  Stop: z.boolean(),
  /** Changes with each registration, and not when a task starts or ends. */
  JobModifyIndex: z.int(),
  Meta: z.record(z.string(), z.string()).nullable(),
  TaskGroups: z.array(z.looseObject({ Name: z.string(), Count: z.int(), Meta: z.record(z.string(), z.string()).nullish() })),
})
export type Job = z.infer<typeof job>

const registered = z.object({ EvalID: z.string(), JobModifyIndex: z.int() })
/** What a change of a job gave: the evaluation that carries it out, and the job's new index. */
export type Registered = z.infer<typeof registered>

const evaluated = z.object({ EvalID: z.string() })

const pathOf = (id: string): string => `/v1/job/${encodeURIComponent(id)}`

/** The job, or null. One that was stopped and not purged is there, with `Stop`. */
export async function readJob(client: NomadClient, id: string, signal?: AbortSignal): Promise<Job | null> {
  const { value } = await client.find({ path: pathOf(id), schema: job, purpose: `read job ${id}`, signal })
  return value
}

/**
 * Registers the job if nobody changed it since it had `modifyIndex`; 0 means that there was none.
 *
 * @throws {SlotpoolError} `NOMAD_CONFLICT` when somebody did.
 */
export async function registerJob(
  client: NomadClient,
  spec: { ID: string } & Record<string, unknown>,
  modifyIndex: number,
  signal?: AbortSignal,
): Promise<Registered> {
  const { value } = await client.request({
    method: 'PUT',
    path: '/v1/jobs',
    body: { Job: spec, EnforceIndex: true, JobModifyIndex: modifyIndex },
    schema: registered,
    purpose: `register job ${spec.ID}`,
    signal,
  })
  return value
}

/**
 * Sets the count of one group if nobody changed the job since it was read. It registers the whole job again, because scaling checks
 * the index only in newer versions of Nomad. Numbers beyond 2^53 do not survive that; the only one is `SubmitTime`, which Nomad sets.
 *
 * @throws {SlotpoolError} `NOMAD_CONFLICT` when somebody did.
 */
export async function setJobCount(
  client: NomadClient,
  current: Job,
  group: string,
  count: number,
  signal?: AbortSignal,
): Promise<Registered> {
  const groups = current.TaskGroups.map((one) => (one.Name === group ? { ...one, Count: count } : one))
  return setJobGroups(client, current, groups, signal)
}

/** Sets the groups of a job, all else as it was read. @throws {SlotpoolError} `NOMAD_CONFLICT` when somebody changed it since. */
export async function setJobGroups(
  client: NomadClient,
  current: Job,
  groups: readonly Record<string, unknown>[],
  signal?: AbortSignal,
): Promise<Registered> {
  return registerJob(client, { ...current, TaskGroups: groups }, current.JobModifyIndex, signal)
}

/**
 * Stops a job if nobody changed it since it was read: Nomad's own way to stop one asks for no index. It ends its allocations, and stays.
 *
 * @throws {SlotpoolError} `NOMAD_CONFLICT` when somebody did.
 */
export async function setJobStopped(client: NomadClient, current: Job, signal?: AbortSignal): Promise<Registered> {
  return registerJob(client, { ...current, Stop: true }, current.JobModifyIndex, signal)
}

/** The count of the job's group; 0 when it has no such group or was stopped. */
export function jobCount(current: Job | null, group: string): number {
  if (current === null || current.Stop) return 0
  return current.TaskGroups.find((one) => one.Name === group)?.Count ?? 0
}

/** Has failed allocations replaced now, whatever the delay of the job's reschedule policy. */
export async function replaceFailed(client: NomadClient, id: string, signal?: AbortSignal): Promise<{ EvalID: string }> {
  const { value } = await client.request({
    method: 'PUT',
    path: `${pathOf(id)}/evaluate`,
    body: { JobID: id, EvalOptions: { ForceReschedule: true } },
    schema: evaluated,
    purpose: `evaluate job ${id}`,
    signal,
  })
  return value
}

/**
 * Stops the job's allocations; with `purge` the job itself is forgotten too. One that is not there is fine.
 *
 * @returns the id of the evaluation that stops them; the empty string when there is none.
 */
export async function deregisterJob(client: NomadClient, id: string, options: { purge: boolean }, signal?: AbortSignal): Promise<string> {
  const { value } = await client.find({
    method: 'DELETE',
    path: pathOf(id),
    query: { purge: options.purge },
    schema: evaluated,
    purpose: options.purge ? `purge job ${id}` : `stop job ${id}`,
    signal,
  })
  return value?.EvalID ?? ''
}
