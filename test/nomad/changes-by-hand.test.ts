import t from 'tap'
import { changesByHand } from '../../lib/nomad/changes-by-hand.ts'
import { type PoolJob, poolGroupSpec, poolJobSpec } from '../../lib/nomad/job-spec.ts'
import type { Job } from '../../lib/nomad/jobs.ts'

const made: PoolJob = {
  ...{ pool: 'p', image: 'i:1', slots: 4, isolation: 'auto', network: 'none', version: '1.2.3', count: 3 },
  ...{ limits: {}, networkAllow: [], mounts: [], placement: { constraints: ['${meta.rack} = r1'] } },
}
const implied = { LTarget: '${attr.os.signals}', Operand: 'set_contains', RTarget: 'SIGTERM' }

/** As Nomad keeps it: with much that slotpool left out, and a constraint of its own. */
function kept(change: (group: Record<string, unknown>, task: Record<string, unknown>) => void = () => {}, more: object = {}): Job {
  const job = structuredClone(poolJobSpec(made)) as Record<string, unknown>
  const [group] = job.TaskGroups as Record<string, unknown>[]
  const [task] = (group?.Tasks ?? []) as Record<string, unknown>[]
  Object.assign(group as object, {
    Constraints: [...((group?.Constraints as unknown[]) ?? []), implied],
    Spreads: null,
    EphemeralDisk: { SizeMB: 300 },
  })
  Object.assign(task as object, { Env: null, LogConfig: { MaxFiles: 10 } })
  change(group as Record<string, unknown>, task as Record<string, unknown>)
  return { Priority: 50, Stop: false, JobModifyIndex: 7, ...job, ...more } as unknown as Job
}

const changes = (job: Job) => changesByHand(job, { pool: 'p', version: '1.2.3' })

t.test('a job as it was made, whatever its count', async (t) => {
  t.same(changes(kept()), [])
  t.same(changes(kept((group) => Object.assign(group, { Count: 7 }))), [])
  t.same(changes({ ...kept(), Stop: true }), [], 'one that was stopped')
})

t.test('what is another', async (t) => {
  const where = 'group sandbox: Tasks.sandbox-server'
  t.same(changes(kept((_, task) => Object.assign(task, { Resources: { CPU: 100, MemoryMB: 700 } }))), [
    `${where}.Resources.MemoryMB is 700, was 512`,
  ])
  t.same(changes(kept((_, task) => Object.assign(task.Config as object, { image: 'i:2' }))), [`${where}.Config.image is "i:2", was "i:1"`])
  t.match(changes(kept((_, task) => Object.assign(task.Config as object, { args: ['--slots', '9'] }))), [
    /Config\.args is \["--slots","9"\], was \[/,
  ])
  t.same(changes(kept(undefined, { Priority: 70 })), ['Priority is 70, was 50'])
  t.same(changes(kept((group) => Object.assign(group, { Constraints: [implied] }))).length, 1)
})

t.test('what is more or less', async (t) => {
  const where = 'group sandbox: Tasks.sandbox-server'
  t.same(changes(kept((_, task) => Object.assign(task, { Env: { A: 'b' } }))), [`${where}.Env is {"A":"b"}, was not there`])
  t.same(changes(kept((_, task) => Object.assign(task.Config as object, { privileged: true }))), [
    `${where}.Config.privileged is true, was not there`,
  ])
  t.match(changes(kept((group, task) => Object.assign(group, { Tasks: [task, task] }))), [/Tasks is .*, was /])
  t.match(changes(kept((_, task) => delete task.User)), [`${where}.User is not there, was "root"`])
})

t.test('of a job that this slotpool did not make nothing can be said, but that it has not what slotpool writes', async (t) => {
  t.same(
    changesByHand(
      kept((_, task) => Object.assign(task, { User: 'x' })),
      { pool: 'p', version: '1.2.4' },
    ),
    [],
  )
  t.match(changes(kept((group) => Object.assign(group, { Meta: null }))), [/its meta does not say/])
})

t.test('of a pool that is being changed the newest group counts', async (t) => {
  const job = kept((_, task) => Object.assign(task, { User: 'x' }))
  const newer = poolGroupSpec({ ...made, generation: 1 })
  t.same(changes({ ...job, TaskGroups: [...job.TaskGroups, newer] }), [])
})
