/** A job in the JSON form of Nomad's API, as `poolJobSpec` makes it. */
type JobSpec = Readonly<Record<string, unknown>>

/** A line, or a block with lines of its own. */
type Entry = readonly [name: string, value: unknown] | { block: string; entries: readonly Entry[] }

/**
 * The job of a pool as a job file, which `nomad job run` takes. It knows the fields that such a job has.
 *
 * @throws {RangeError} for one that it does not know: the file would say less than the job.
 */
export function jobHcl(job: JobSpec): string {
  const { ID, Name, Type, Datacenters, NodePool, Priority, Meta, Update, TaskGroups, ...more } = job
  refuse('job', more)
  const entries: Entry[] = [
    ['type', Type],
    ['datacenters', Datacenters],
    ['node_pool', NodePool],
    ['priority', Priority],
    { block: 'meta', entries: Object.entries(Meta as object) },
    block('update', Update, { MaxParallel: 'max_parallel' }),
    ...list(TaskGroups).map(group),
  ]
  return `${lines([{ block: `job ${quoted(ID)}`, entries }], 0).join('\n')}\n`
}

function constraint({ LTarget, Operand, RTarget, ...more }: JobSpec): Entry {
  refuse('constraint', more)
  const entries: Entry[] = [
    ['attribute', LTarget || undefined],
    ['operator', Operand],
    ['value', RTarget || undefined],
  ]
  return { block: 'constraint', entries }
}

function group({ Name, Count, Constraints = [], Meta, Networks, RestartPolicy, ReschedulePolicy, Tasks, ...more }: JobSpec): Entry {
  refuse('group', more)
  const entries: Entry[] = [
    ['count', Count],
    ...list(Constraints).map(constraint),
    { block: 'meta', entries: Object.entries(Meta as object) },
    ...list(Networks).map(network),
    block('restart', RestartPolicy, { Attempts: 'attempts', Mode: 'mode' }),
    block('reschedule', ReschedulePolicy, { Unlimited: 'unlimited', DelayFunction: 'delay_function', Delay: 'delay' }),
    ...list(Tasks).map(task),
  ]
  return { block: `group ${quoted(Name)}`, entries }
}

function network({ DynamicPorts, ...more }: JobSpec): Entry {
  refuse('network', more)
  return { block: 'network', entries: list(DynamicPorts).map(({ Label, ...port }) => block(`port ${quoted(Label)}`, port, { To: 'to' })) }
}

function task({ Name, Driver, Lifecycle, User, Config, Resources, Templates = [], KillSignal, KillTimeout, ...more }: JobSpec): Entry {
  refuse('task', more)
  const entries: Entry[] = [
    ['driver', Driver],
    ['user', User],
    ['kill_signal', KillSignal],
    ['kill_timeout', KillTimeout === undefined ? undefined : duration(KillTimeout)],
    ...(Lifecycle === undefined ? [] : [block('lifecycle', Lifecycle, { Hook: 'hook', Sidecar: 'sidecar' })]),
    { block: 'config', entries: attributes(Config as JobSpec) },
    block('resources', Resources, { CPU: 'cpu', Cores: 'cores', MemoryMB: 'memory', MemoryMaxMB: 'memory_max' }),
    ...list(Templates).map((one) =>
      block('template', one, { EmbeddedTmpl: 'data', DestPath: 'destination', Perms: 'perms', ChangeMode: 'change_mode' }),
    ),
  ]
  return { block: `task ${quoted(Name)}`, entries }
}

/** What a driver takes, by its own names: objects are blocks, lists of objects several of them. */
function attributes(config: JobSpec): Entry[] {
  return Object.entries(config).flatMap(([name, value]): Entry[] => {
    if (!Array.isArray(value) || typeof value[0] !== 'object') return [[name, value]]
    return value.map((one) => ({ block: name, entries: attributes(one) }))
  })
}

function block(name: string, of: unknown, names: Readonly<Record<string, string>>): Entry {
  const given = of as JobSpec
  refuse(name, Object.fromEntries(Object.entries(given).filter(([key]) => !(key in names))))
  const entries = Object.entries(given).map(([key, value]): Entry => [names[key] as string, key === 'Delay' ? duration(value) : value])
  return { block: name, entries }
}

function list(of: unknown): readonly JobSpec[] {
  return of as readonly JobSpec[]
}

function refuse(where: string, more: JobSpec): void {
  const [name] = Object.keys(more)
  if (name !== undefined) throw new RangeError(`got ${name} in a ${where}, expected a field of a pool's job`)
}

/** Nomad's API has nanoseconds. */
function duration(nanoseconds: unknown): string {
  return `${(nanoseconds as number) / 1e9}s`
}

function lines(entries: readonly Entry[], depth: number): string[] {
  const indent = '  '.repeat(depth)
  return entries.flatMap((entry) => {
    if ('block' in entry) return [`${indent}${entry.block} {`, ...lines(entry.entries, depth + 1), `${indent}}`]
    const [name, value] = entry
    return value === undefined ? [] : [`${indent}${name} = ${literal(value)}`]
  })
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  return typeof value === 'string' ? quoted(value) : String(value)
}

/** `${…}` is left to Nomad, which fills it in where the task runs; `%{` would be a directive of the file's own. */
function quoted(value: unknown): string {
  return JSON.stringify(value).replaceAll('%{', '%%{')
}
