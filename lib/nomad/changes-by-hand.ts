import { type PoolJob, poolJobSpec, readGroupMeta } from './job-spec.ts'
import type { Job } from './jobs.ts'
import { poolGroups } from './pool-groups.ts'

/** Of what Nomad keeps and slotpool leaves out, what is only there when somebody put it there. */
const nobodys = [
  'Constraints',
  'Affinities',
  'Spreads',
  'Env',
  'Artifacts',
  'Services',
  'Volumes',
  'VolumeMounts',
  'Vault',
  'Lifecycle',
  'Devices',
]

/** What a driver takes is kept as it was given, so that all of it counts. */
const asGiven = ['Config']

const defaultPriority = 50

/**
 * What somebody changed by hand in the job of a pool: in its newest group, and in what the job says of all groups. A line for each thing, with what is
 * there and what slotpool had made. Only a job that this very version of slotpool made can be judged.
 */
export function changesByHand(job: Job, { pool, version }: Pick<PoolJob, 'pool' | 'version'>): string[] {
  const [newest] = poolGroups(job)
  if (newest === undefined || newest.count === 0) return []
  const read = readGroupMeta(newest.meta)
  if (read === null) return [`group ${newest.name}: its meta does not say what its containers are made with`]
  if (read.version !== version) return []
  const { shape } = read
  const made = poolJobSpec({ ...(shape as typeof shape & PoolJob), pool, version, count: newest.count, generation: newest.generation })
  const { TaskGroups, Meta: _, Priority = defaultPriority, ...rest } = made
  const [group] = TaskGroups as Record<string, unknown>[]
  const found = job.TaskGroups.find(({ Name }) => Name === newest.name)
  return [...differences({ ...rest, Priority }, job, ''), ...differences(group, found && withoutImplied(found), `group ${newest.name}: `)]
}

/** Without what Nomad itself asks of a node, for a task is ended by a signal. */
function withoutImplied(group: Record<string, unknown>): Record<string, unknown> {
  const constraints = (group.Constraints ?? []) as { LTarget?: string }[]
  return { ...group, Constraints: constraints.filter(({ LTarget }) => LTarget !== '${attr.os.signals}') }
}

function differences(made: unknown, found: unknown, where: string): string[] {
  if (Array.isArray(made)) {
    if (!Array.isArray(found) || made.length !== found.length || made.some((one) => typeof one !== 'object')) {
      return JSON.stringify(made) === JSON.stringify(found) ? [] : [line(where, found, made)]
    }
    return made.flatMap((one, at) => differences(one, found[at], `${where}${(one as { Name?: string }).Name ?? at}.`))
  }
  if (made === null || typeof made !== 'object') return made === found ? [] : [line(where, found, made)]
  if (found === null || typeof found !== 'object') return [line(where, found, made)]
  const [before, after] = [made as Record<string, unknown>, found as Record<string, unknown>]
  const isAsGiven = asGiven.some((name) => where.endsWith(`${name}.`))
  const added = Object.keys(after).filter((name) => !(name in before) && (isAsGiven || nobodys.includes(name)) && !isEmpty(after[name]))
  return [
    ...Object.keys(before).flatMap((name) => differences(before[name], after[name], `${where}${name}.`)),
    ...added.map((name) => line(`${where}${name}.`, after[name], undefined)),
  ]
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

function line(where: string, found: unknown, made: unknown): string {
  return `${where.replace(/\.$/, '')} is ${shown(found)}, was ${shown(made)}`
}

function shown(value: unknown): string {
  return value === undefined || value === null ? 'not there' : JSON.stringify(value)
}
