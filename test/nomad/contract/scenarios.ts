import type { Test } from 'tap'
import { agentIsHealthy, agentVersion } from '../../../lib/nomad/agent.ts'
import {
  type AllocationStub,
  collectAllocation,
  hasEnded,
  listJobAllocations,
  listJobPorts,
  signalAllocation,
  stopAllocation,
} from '../../../lib/nomad/allocations.ts'
import { followQuery } from '../../../lib/nomad/blocking-query.ts'
import type { NomadClient } from '../../../lib/nomad/client.ts'
import { listJobEvaluations, waitForEvaluation } from '../../../lib/nomad/evaluations.ts'
import { followEvents } from '../../../lib/nomad/event-stream.ts'
import {
  deregisterJob,
  type Job,
  jobCount,
  readJob,
  registerJob,
  replaceFailed,
  setJobCount,
  setJobStopped,
} from '../../../lib/nomad/jobs.ts'
import { listNodes, runsDriver } from '../../../lib/nomad/nodes.ts'
import { placementFailure } from '../../../lib/nomad/placement-failure.ts'
import { planJob } from '../../../lib/nomad/plan.ts'
import { taskFailure } from '../../../lib/nomad/task-failure.ts'
import { stderrTail } from '../../../lib/nomad/task-log.ts'
import { createVariable, deleteVariable, listVariables, readVariable } from '../../../lib/nomad/variables.ts'

/** Who speaks to the agent: with the token that may do everything, and without any. */
export interface Speakers {
  client: NomadClient
  stranger: NomadClient
}

const { signal: never } = new AbortController()
const group = 'group'
const task = 'task'

/** A job that needs no image: written out here, so that the recording says something of Nomad and not of slotpool's own job. */
function job(id: string, script: string, more: Record<string, unknown> = {}, resources = { CPU: 20, MemoryMB: 20 }) {
  const lasting = 100 * 24 * 3600 * 1e9
  return {
    ID: id,
    Name: id,
    Type: 'service',
    Datacenters: ['*'],
    Meta: { kept: 'as it is' },
    Update: { MaxParallel: 0 },
    TaskGroups: [
      {
        Name: group,
        Count: 1,
        Networks: [{ DynamicPorts: [{ Label: 'http' }] }],
        RestartPolicy: { Attempts: 0, Mode: 'fail' },
        ReschedulePolicy: { Unlimited: true, DelayFunction: 'constant', Delay: lasting },
        Tasks: [{ Name: task, Driver: 'raw_exec', Config: { command: '/bin/sh', args: ['-c', script] }, Resources: resources }],
      },
    ],
    ...more,
  }
}

const sleeper = 'echo begun >&2; trap "exit 0" TERM USR1; sleep 1000 & wait'

/** The allocations of the job as soon as they are so. */
async function allocationsWhen(client: NomadClient, id: string, so: (all: AllocationStub[]) => boolean): Promise<AllocationStub[]> {
  const done = new AbortController()
  let found: AllocationStub[] = []
  await followQuery(
    (parameters) => listJobAllocations(client, id, {}, parameters, done.signal),
    (all) => {
      found = all
      if (so(all)) done.abort()
    },
    done.signal,
  )
  return found
}

const isRunning = ([one]: AllocationStub[]): boolean => one?.ClientStatus === 'running'

/** What slotpool needs of Nomad's HTTP API, each with the agent alone. */
export const scenarios: Record<string, (t: Test, speakers: Speakers) => Promise<void>> = {
  'an agent says how it is, its version and its nodes': async (t, { client }) => {
    t.match(await agentIsHealthy(client), { server: { ok: true }, client: { ok: true } })
    t.match(await agentVersion(client), /^\d+\.\d+\.\d+(-\w+)?$/)
    const { value, index } = await listNodes(client)
    t.match(value, [{ Status: 'ready', SchedulingEligibility: 'eligible' }])
    t.ok(value[0] && runsDriver(value[0], 'raw_exec'))
    t.ok(index > 0)
  },

  'a job is registered, changed and stopped by who knows its last change': async (t, { client }) => {
    const spec = { ...job('contract-job', sleeper), TaskGroups: job('', sleeper).TaskGroups.map((one) => ({ ...one, Count: 0 })) }
    t.equal(await readJob(client, spec.ID), null)
    t.equal(await deregisterJob(client, spec.ID, { purge: true }), '')
    const { JobModifyIndex: first } = await registerJob(client, spec, 0)
    await t.rejects(registerJob(client, spec, 0), { code: 'NOMAD_CONFLICT' })
    const read = await readJob(client, spec.ID)
    t.match(read, { ID: spec.ID, Stop: false, JobModifyIndex: first, Meta: spec.Meta })
    t.equal(jobCount(read, group), 0)
    // Another change, so that the first is no longer the last.
    const meta = { ...spec, Meta: { kept: 'changed' } }
    const { JobModifyIndex: second } = await registerJob(client, meta, first)
    t.ok(second > first)
    if (read) await t.rejects(setJobCount(client, read, group, 1), { code: 'NOMAD_CONFLICT' })
    t.match(await readJob(client, spec.ID), { Meta: meta.Meta, JobModifyIndex: second })
    if (read) await t.rejects(setJobStopped(client, read), { code: 'NOMAD_CONFLICT' })
    const { JobModifyIndex: third } = await setJobStopped(client, (await readJob(client, spec.ID)) as Job)
    t.match(await readJob(client, spec.ID), { Stop: true, JobModifyIndex: third })
    await registerJob(client, meta, third)
    t.match(await readJob(client, spec.ID), { Stop: false })
    t.not(await deregisterJob(client, spec.ID, { purge: false }), '')
    const stopped = await readJob(client, spec.ID)
    t.match(stopped, { Stop: true })
    t.equal(jobCount(stopped, group), 0)
    t.not(await deregisterJob(client, spec.ID, { purge: true }), '')
    t.equal(await readJob(client, spec.ID), null)
  },

  'a plan says what a change would do, and does nothing': async (t, { client }) => {
    const spec = job('contract-plan', sleeper, {}, { CPU: 20, MemoryMB: 1_000_000_000 })
    t.match(await planJob(client, spec), {
      Diff: { Type: 'Added', TaskGroups: [{ Name: group, Type: 'Added' }] },
      FailedTGAllocs: { [group]: { DimensionExhausted: { memory: 1 } } },
      JobModifyIndex: 0,
    })
    t.equal(await readJob(client, spec.ID), null)
  },

  'what cannot be placed says why': async (t, { client }) => {
    const impossible = { Constraints: [{ LTarget: '${attr.kernel.name}', RTarget: 'minix', Operand: '=' }] }
    const cases: [ReturnType<typeof job>, RegExp][] = [
      [job('contract-constraint', sleeper, impossible), /constraint "\$\{attr\.kernel\.name\} = minix" excluded 1 node/],
      [job('contract-memory', sleeper, {}, { CPU: 20, MemoryMB: 1_000_000_000 }), /dimension "memory" exhausted on 1 node/],
    ]
    for (const [spec, reason] of cases) {
      const { EvalID } = await registerJob(client, spec, 0)
      await waitForEvaluation(client, EvalID, never)
      const { value } = await listJobEvaluations(client, spec.ID)
      const own = value.find((one) => one.ID === EvalID)
      t.match(own && placementFailure(own, spec.ID, group), { code: 'NOMAD_PLACEMENT_FAILED', message: reason, details: { blocked: true } })
      t.ok(value.some((one) => one.Status === 'blocked'))
      await deregisterJob(client, spec.ID, { purge: true })
    }
  },

  'an allocation runs, tells its port and its log, takes a signal, and is replaced when it is stopped': async (t, { client }) => {
    const spec = job('contract-runs', sleeper)
    await registerJob(client, spec, 0)
    const [first] = await allocationsWhen(client, spec.ID, isRunning)
    t.match(first, { Name: `${spec.ID}.${group}[0]`, TaskGroup: group, DesiredStatus: 'run', TaskStates: { [task]: { State: 'running' } } })
    const id = first?.ID ?? ''
    t.match((await listJobPorts(client, spec.ID)).get(id), [{ Label: 'http', HostIP: '127.0.0.1' }])
    t.equal(await stderrTail(client, id, task, 4096), 'begun\n')
    t.not(await stopAllocation(client, id), '')
    const both = await allocationsWhen(client, spec.ID, (all) => all.some((one) => one.ID === id && hasEnded(one)) && all.length === 2)
    t.match(
      both.find((one) => one.ID === id),
      { DesiredStatus: 'stop', ClientStatus: 'complete' },
    )
    await collectAllocation(client, id)
    const another = both.find((one) => one.ID !== id)?.ID ?? ''
    await allocationsWhen(client, spec.ID, (all) => all.some((one) => one.ID === another && isRunning([one])))
    await signalAllocation(client, another, task, 'SIGUSR1')
    await allocationsWhen(client, spec.ID, (all) => all.some((one) => one.ID === another && hasEnded(one)))
    await deregisterJob(client, spec.ID, { purge: true })
  },

  'a task that fails says so, and is tried again only when that is asked for': async (t, { client }) => {
    const spec = job('contract-fails', 'echo why >&2; exit 3')
    await registerJob(client, spec, 0)
    const [failed] = await allocationsWhen(client, spec.ID, ([one]) => one !== undefined && hasEnded(one))
    t.equal(failed?.ClientStatus, 'failed')
    t.match(failed && taskFailure(failed, 'an image'), { code: 'NOMAD_TASK_FAILED', message: /Exit Code: 3/ })
    const { EvalID } = await replaceFailed(client, spec.ID)
    await waitForEvaluation(client, EvalID, never)
    const all = await allocationsWhen(client, spec.ID, (all) => all.length === 2)
    t.equal(all.find((one) => one.ID === failed?.ID)?.NextAllocation, all.find((one) => one.ID !== failed?.ID)?.ID)
    await deregisterJob(client, spec.ID, { purge: true })
  },

  'a variable is made once, and removed by who knows its last change': async (t, { client }) => {
    const path = 'nomad/jobs/contract-variable'
    t.equal(await readVariable(client, path), null)
    const made = await createVariable(client, path, { token: 'first' })
    await t.rejects(createVariable(client, path, { token: 'second' }), { code: 'NOMAD_CONFLICT' })
    t.same(await readVariable(client, path), made)
    const [stub] = await listVariables(client, path)
    t.match(stub, { Path: path, ModifyIndex: made.ModifyIndex })
    t.ok((stub?.ModifyTime ?? 0) > 1e18)
    await t.rejects(deleteVariable(client, path, made.ModifyIndex + 1), { code: 'NOMAD_CONFLICT' })
    await deleteVariable(client, path, made.ModifyIndex)
    t.equal(await readVariable(client, path), null)
    await deleteVariable(client, path)
  },

  'the event stream tells what happened to a job': async (t, { client }) => {
    const spec = job('contract-events', sleeper)
    const { index } = await listJobAllocations(client, spec.ID)
    const done = new AbortController()
    const seen = new Set<string>()
    let registering: Promise<unknown> | undefined
    await followEvents(
      client,
      {
        topics: { Allocation: [spec.ID], Job: [spec.ID] },
        since: async () => index,
        onConnected: () => {
          registering = registerJob(client, spec, 0)
        },
        onEvents: (events) => {
          for (const one of events) seen.add(`${one.Topic} ${one.Type}`)
          if (seen.has('Job JobRegistered') && seen.has('Allocation AllocationUpdated')) done.abort()
        },
      },
      done.signal,
    )
    await registering
    t.ok(done.signal.aborted)
    const { value } = await listJobAllocations(client, spec.ID, { everyJobOfThatId: true })
    t.match(value, [{ Name: `${spec.ID}.${group}[0]` }])
    await deregisterJob(client, spec.ID, { purge: true })
  },

  'who may not is told what is missing': async (t, { stranger }) => {
    t.match(await agentIsHealthy(stranger), { server: { ok: true } })
    const forbidden = { code: 'NOMAD_FORBIDDEN', retryable: false }
    await t.rejects(readJob(stranger, 'contract-none'), forbidden)
    await t.rejects(listNodes(stranger), forbidden)
    await t.rejects(createVariable(stranger, 'nomad/jobs/none', { token: 'x' }), forbidden)
  },
}
