import { z } from 'zod'
import { type BlockingParameters, blockingTimeoutMs } from './blocking-query.ts'
import type { Indexed, NomadClient } from './client.ts'
import { taskName } from './job-spec.ts'

const taskEvent = z.object({
  Type: z.string(),
  Time: z.number(),
  DisplayMessage: z.string(),
  Details: z.record(z.string(), z.string()).nullish(),
})
/** One step in the life of a task, with Nomad's words for it. */
export type TaskEvent = z.infer<typeof taskEvent>

const taskState = z.object({
  State: z.string(),
  Failed: z.boolean(),
  /** When it was started the last time, also in place. */
  StartedAt: z.string().nullish(),
  Events: z.array(taskEvent).nullish(),
})

const allocationStub = z.object({
  ID: z.string(),
  /** Job, group and index: `slotpool-default.sandbox[2]`. */
  Name: z.string(),
  NodeID: z.string(),
  NodeName: z.string(),
  TaskGroup: z.string(),
  /** What Nomad wants: `run`, `stop` or `evict`. */
  DesiredStatus: z.string(),
  /** What its node says: `pending`, `running`, `complete`, `failed`, `lost` or `unknown`. */
  ClientStatus: z.string(),
  ClientDescription: z.string(),
  NextAllocation: z.string().nullish(),
  TaskStates: z.record(z.string(), taskState).nullish(),
  CreateIndex: z.int(),
})
/** An allocation as the lists show it. */
export type AllocationStub = z.infer<typeof allocationStub>

const port = z.object({ Label: z.string(), Value: z.int(), HostIP: z.string() })
/** A port of the node that leads to a port of the allocation. */
export type AllocatedPort = z.infer<typeof port>

const allocationPorts = z.object({
  ID: z.string(),
  AllocatedResources: z.object({ Shared: z.object({ Ports: z.array(port).nullish() }) }).nullish(),
})

/**
 * The allocations of a job, ended ones included until Nomad forgets them.
 *
 * With `everyJobOfThatId` those of earlier jobs of the same id too: one that was purged may still have containers.
 */
export async function listJobAllocations(
  client: NomadClient,
  jobId: string,
  options: { everyJobOfThatId?: boolean } = {},
  parameters: BlockingParameters = {},
  signal?: AbortSignal,
): Promise<Indexed<AllocationStub[]>> {
  return client.request({
    path: `/v1/job/${encodeURIComponent(jobId)}/allocations`,
    query: { ...parameters, all: options.everyJobOfThatId },
    schema: z.array(allocationStub),
    purpose: `list the allocations of job ${jobId}`,
    signal,
    ...(parameters.index === undefined ? {} : { timeoutMs: blockingTimeoutMs }),
  })
}

/** The ports of all allocations of a job by the allocation's id, in one request. They never change. */
export async function listJobPorts(client: NomadClient, jobId: string, signal?: AbortSignal): Promise<Map<string, AllocatedPort[]>> {
  const { value } = await client.request({
    path: '/v1/allocations',
    query: { filter: `JobID == ${JSON.stringify(jobId)}`, resources: true, task_states: false },
    schema: z.array(allocationPorts),
    purpose: `list the ports of job ${jobId}`,
    signal,
  })
  return new Map(value.map((one) => [one.ID, one.AllocatedResources?.Shared.Ports ?? []]))
}

/** The index in the allocation's name; it is reused when an allocation is replaced. */
export function allocationIndex(allocation: AllocationStub): number {
  return Number(/\[(\d+)\]$/.exec(allocation.Name)?.[1] ?? 0)
}

/** Whether the node says that nothing of the allocation runs any more. */
export function hasEnded(allocation: AllocationStub): boolean {
  return ['complete', 'failed', 'lost'].includes(allocation.ClientStatus)
}

/** Names one run of an allocation's server: a task that is started anew in place keeps the allocation's id. */
export function allocationRun({ ID, TaskStates }: AllocationStub): string {
  return `${ID}@${TaskStates?.[taskName]?.StartedAt ?? ''}`
}

/** Whether the task that serves runs: another may come before it. */
export function serverRuns({ ClientStatus, TaskStates }: AllocationStub): boolean {
  return ClientStatus === 'running' && (TaskStates?.[taskName]?.State ?? 'running') === 'running'
}

/**
 * Stops an allocation; Nomad puts another in its place. Needs `alloc-lifecycle` where ACLs are on.
 *
 * @returns the id of the evaluation that does both.
 */
export async function stopAllocation(client: NomadClient, id: string, signal?: AbortSignal): Promise<string> {
  const { value } = await client.request({
    method: 'PUT',
    path: `/v1/allocation/${encodeURIComponent(id)}/stop`,
    schema: z.object({ EvalID: z.string() }),
    purpose: `stop allocation ${id}`,
    signal,
  })
  return value.EvalID
}

/** Sends a signal to a task of the allocation. Needs `alloc-lifecycle` where ACLs are on. */
export async function signalAllocation(
  client: NomadClient,
  id: string,
  task: string,
  name: NodeJS.Signals,
  signal?: AbortSignal,
): Promise<void> {
  await client.request({
    method: 'PUT',
    path: `/v1/client/allocation/${encodeURIComponent(id)}/signal`,
    body: { Signal: name, Task: task },
    schema: z.unknown(),
    purpose: `signal allocation ${id}`,
    signal,
  })
}

/**
 * Has the node remove what an ended allocation left there (its folder, its mounts) now, and not in hours. Resolves when it did.
 *
 * @throws {SlotpoolError} `NOMAD_REQUEST_FAILED` also when the node no longer has it.
 */
export async function collectAllocation(client: NomadClient, id: string, signal?: AbortSignal): Promise<void> {
  await client.request({
    path: `/v1/client/allocation/${encodeURIComponent(id)}/gc`,
    schema: z.unknown(),
    purpose: `clean up after allocation ${id}`,
    signal,
  })
}
