import t from 'tap'
import {
  generationOf,
  groupNameOf,
  type PoolJob,
  poolJobId,
  poolJobSpec,
  poolVariablePath,
  readGroupMeta,
} from '../../lib/nomad/job-spec.ts'

const job: PoolJob = {
  pool: 'p',
  image: 'i:1',
  slots: 4,
  isolation: 'auto',
  network: 'none',
  version: '1.2.3',
  count: 3,
  limits: {},
  networkAllow: [],
  mounts: [],
  placement: {},
}

interface Spec {
  Meta: Record<string, string>
  Update: { MaxParallel: number }
  Datacenters: string[]
  NodePool: string
  Priority?: number
  TaskGroups: {
    Meta: Record<string, string>
    Constraints?: unknown[]
    Count: number
    Networks: unknown[]
    RestartPolicy: unknown
    ReschedulePolicy: { Unlimited: boolean; Delay: number }
    Tasks: {
      Config: Record<string, unknown> & { args: string[] }
      Driver: string
      Resources: { MemoryMB: number; CPU?: number; Cores?: number }
      KillTimeout: number
      Templates: unknown[]
    }[]
  }[]
}

const specOf = (change: Partial<PoolJob> = {}): Spec => poolJobSpec({ ...job, ...change }) as unknown as Spec
const metaOf = (change: Partial<PoolJob> = {}) => specOf(change).TaskGroups[0]?.Meta ?? {}
const configOf = (change: Partial<PoolJob> = {}) => specOf(change).TaskGroups[0]?.Tasks[0]?.Config ?? { args: [] }

t.test('names', async (t) => {
  t.equal(poolJobId('p'), 'slotpool-p')
  t.equal(poolVariablePath('p'), 'nomad/jobs/slotpool-p')
  t.equal(poolJobSpec(job).ID, 'slotpool-p')
})

t.test('the shape can be read from the job', async (t) => {
  t.equal(readGroupMeta(metaOf())?.version, '1.2.3')
  t.strictSame(readGroupMeta(metaOf())?.shape, {
    driver: 'docker',
    image: 'i:1',
    slots: 4,
    isolation: 'auto',
    network: 'none',
    limits: {},
    networkAllow: [],
    mounts: [],
    placement: {},
  })
  t.equal(readGroupMeta(null), null)
  t.equal(readGroupMeta({ ...metaOf(), slotpool_slots: 'many' }), null)
})

t.test('a change of the pool is another group of the same job', async (t) => {
  t.same([0, 1, 12].map(groupNameOf), ['sandbox', 'sandbox-1', 'sandbox-12'])
  t.same(['sandbox', 'sandbox-1', 'sandbox-12', 'sandbox-0', 'sandbox-x', 'other'].map(generationOf), [
    0,
    1,
    12,
    undefined,
    undefined,
    undefined,
  ])
  const { TaskGroups: _, ...job } = specOf()
  const { TaskGroups: changed, ...jobOfChanged } = specOf({ image: 'i:2', slots: 9, generation: 1 })
  t.same(jobOfChanged, job, 'what a job says of all groups stays, or Nomad would end what runs')
  t.match(changed, [{ Name: 'sandbox-1', Meta: { slotpool_image: 'i:2' } }])
})

t.test('nothing replaces a container unasked, and nothing deploys', async (t) => {
  const [group] = specOf().TaskGroups
  t.match(group, { Count: 3, RestartPolicy: { Attempts: 0, Mode: 'fail' }, ReschedulePolicy: { Unlimited: true } })
  const delay = group?.ReschedulePolicy.Delay ?? 0
  t.ok(delay > 30 * 24 * 3600 * 1e9 && Number.isSafeInteger(delay))
  t.equal(specOf().Update.MaxParallel, 0)
})

t.test('privileges only where a jail may need them', async (t) => {
  for (const isolation of ['auto', 'jail'] as const) {
    t.match(configOf({ isolation }), {
      cap_add: ['sys_admin', 'net_admin', 'sys_ptrace'],
      security_opt: ['seccomp=unconfined', 'apparmor=unconfined'],
    })
  }
  for (const isolation of ['uid', 'none'] as const) {
    t.notHas(configOf({ isolation }), { cap_add: [] })
    t.notHas(configOf({ isolation }), { security_opt: [] })
  }
})

t.test('what the server is told', async (t) => {
  const { args } = configOf()
  const options = Object.fromEntries(args.flatMap((arg, i) => (i % 2 === 0 ? [[arg, args[i + 1]]] : [])))
  t.match(options, { '--pool': 'p', '--slots': '4', '--isolation': 'auto', '--network': 'none', '--listen': /^tcp:0\.0\.0\.0:\d+$/ })
})

t.test('terms, and what slots see of the node', async (t) => {
  const terms = {
    limits: { processes: 100 },
    networkAllow: ['10.0.0.1'],
    mounts: [{ host: '/data', target: '/in', readOnly: true, description: 'of $HOME' }],
    maxReuses: 7,
    drainMs: 5_000,
  }
  t.match(readGroupMeta(metaOf(terms))?.shape, terms)
  t.equal(readGroupMeta({ ...metaOf(), slotpool_terms: '[' }), null)
  const { slotpool_terms, ...without } = metaOf()
  t.ok(slotpool_terms)
  t.match(readGroupMeta(without)?.shape, { limits: {}, networkAllow: [], mounts: [] }, 'a job without them was made without any')
  const { args, mount } = configOf(terms)
  t.same(mount, [
    { type: 'bind', source: '/data', target: '/run/slotpool/mounts/0', readonly: true, bind_options: [{ propagation: 'rprivate' }] },
  ])
  t.notOk('mount' in configOf())
  const given = (name: string) => args[args.indexOf(name) + 1] as string
  t.same(JSON.parse(given('--mounts')), [{ source: '/run/slotpool/mounts/0', target: '/in', readOnly: true, description: 'of $HOME' }])
  t.notMatch(given('--mounts'), '$', 'which Nomad would read as the start of a variable')
  t.same(JSON.parse(given('--limits')), { processes: 100 })
  t.same(JSON.parse(given('--network-allow')), ['10.0.0.1'])
  t.equal(given('--system'), 'image')
  t.equal(given('--max-reuses'), '7')
  t.equal(given('--drain-ms'), '5000')
  const killTimeout = (more: object) => specOf(more).TaskGroups[0]?.Tasks[0]?.KillTimeout ?? 0
  t.equal(killTimeout(terms) - killTimeout({}), 5_000_000_000, 'it is killed only after that')
  for (const name of ['--max-reuses', '--drain-ms']) t.notOk(configOf().args.includes(name))
})

t.test('where the image has no server, a task brings it first', async (t) => {
  t.equal(specOf().TaskGroups[0]?.Tasks.length, 1)
  const spec = specOf({ toolsImage: 't:1', mounts: [{ host: '/data', target: '/in', readOnly: true, description: null }] })
  const [tools, server] = spec.TaskGroups[0]?.Tasks ?? []
  t.match(tools, { Name: 'tools', Lifecycle: { Hook: 'prestart', Sidecar: false }, Config: { image: 't:1', network_mode: 'none' } })
  t.match(server, { Name: 'sandbox-server', User: '0', Config: { image: 'i:1', healthchecks: [{ disable: true }] } })
  t.notOk('Lifecycle' in (server ?? {}))
  const { args = [], mount } = server?.Config ?? { args: [] }
  t.match(mount, [{ source: '/data', target: '/run/slotpool/mounts/0' }])
  const entrypoint = server?.Config.entrypoint as string[]
  t.same(entrypoint.slice(-4), ['${NOMAD_SECRETS_DIR}', '${NOMAD_TASK_DIR}', '/run/slotpool/mounts/0', '--'], 'what the server has, too')
  t.equal(args[args.indexOf('--image-root') + 1], '/image')
  t.match(readGroupMeta(spec.TaskGroups[0]?.Meta)?.shape, { image: 'i:1', toolsImage: 't:1' })
})

t.test('driver singularity: a task of raw_exec that becomes Apptainer', async (t) => {
  const mounts = [
    { host: '/data, "all"', target: '/in', readOnly: true, description: null },
    { host: '/out', target: '/out', readOnly: false, description: null },
  ]
  const spec = specOf({ driver: 'singularity', image: '/images/s.sif', slots: 10, mounts })
  const [group] = spec.TaskGroups
  const { slotpool_driver, ...without } = group?.Meta ?? {}
  t.equal(slotpool_driver, 'singularity')
  t.equal(readGroupMeta(group?.Meta)?.shape.driver, 'singularity')
  t.equal(readGroupMeta(without)?.shape.driver, 'docker', 'what is not said')
  t.strictSame(group?.Networks, [{ DynamicPorts: [{ Label: 'http' }] }], 'the port is that of the node')
  const [task] = group?.Tasks ?? []
  t.match(task, { Driver: 'raw_exec', Resources: { MemoryMB: 512, MemoryMaxMB: 10_752 } })
  t.notOk(task && 'User' in task, 'it is run as the user of the agent')
  t.strictSame(Object.keys(task?.Config ?? {}), ['command', 'args'])
  const [, script = '', ...words] = task?.Config.args ?? []
  t.notMatch(script, /[$%]\{/, 'which Nomad and its job files would read as a variable')
  t.strictSame(words.slice(0, 8), [
    ...['sh', '${node.unique.name}', '/images/s.sif'],
    ...['--mount', 'type=bind,"source=/data, ""all""",destination=/run/slotpool/mounts/0,ro'],
    ...['--mount', 'type=bind,source=/out,destination=/run/slotpool/mounts/1', '/images/s.sif'],
  ])
  const given = (name: string) => words[words.indexOf(name) + 1]
  t.equal(given('--listen'), 'tcp:${NOMAD_IP_http}:${NOMAD_PORT_http}')
  t.equal(given('--server-network'), 'machine')
  t.notOk(configOf().args.includes('--server-network'))
})

t.test('the ceiling of memory grows with the slots, the reservation does not', async (t) => {
  const at = (slots: number) => configOf({ slots }).memory_hard_limit as number
  t.ok(at(10) - at(1) >= 9 * 512)
  t.equal(
    specOf({ slots: 10 }).TaskGroups[0]?.Tasks[0]?.Resources.MemoryMB,
    specOf({ slots: 1 }).TaskGroups[0]?.Tasks[0]?.Resources.MemoryMB,
  )
})

t.test('where containers may be, and what is kept free for each', async (t) => {
  const plain = specOf()
  t.match(plain, { Datacenters: ['*'], NodePool: 'default' })
  t.notOk('Priority' in plain, "it is Nomad's own")
  t.notOk('Constraints' in (plain.TaskGroups[0] ?? {}))
  t.notOk('slotpool_placement' in metaOf())
  const placement = {
    datacenters: ['eu-*', 'us-1'],
    nodePool: 'agents',
    constraints: ['${attr.kernel.name} = linux', '${meta.gpu}   is_set', 'distinct_hosts', '${meta.rack} distinct_property 2'],
    priority: 80,
    cores: 2,
    memoryMb: 2048,
    memoryMaxMb: 4096,
  }
  const spec = specOf({ placement })
  t.match(spec, {
    Datacenters: ['eu-*', 'us-1'],
    NodePool: 'agents',
    Priority: 80,
    TaskGroups: [
      {
        Constraints: [
          { LTarget: '${attr.kernel.name}', Operand: '=', RTarget: 'linux' },
          { LTarget: '${meta.gpu}', Operand: 'is_set', RTarget: '' },
          { LTarget: '', Operand: 'distinct_hosts', RTarget: 'true' },
          { LTarget: '${meta.rack}', Operand: 'distinct_property', RTarget: '2' },
        ],
      },
    ],
  })
  t.strictSame(spec.TaskGroups[0]?.Tasks[0]?.Resources, { Cores: 2, MemoryMB: 2048 })
  t.equal(configOf({ placement }).memory_hard_limit, 4096)
  t.strictSame(specOf({ placement: { cpuMhz: 500 } }).TaskGroups[0]?.Tasks[0]?.Resources, { CPU: 500, MemoryMB: 512 })
  t.same(readGroupMeta(metaOf({ placement }))?.shape.placement, placement)
  t.equal(readGroupMeta({ ...metaOf({ placement }), slotpool_placement: '[' }), null)
})

t.test('what the image is lies beside the token, its digest where it was asked for by it', async (t) => {
  const written = (image: string): unknown => {
    const [, template] = specOf({ image }).TaskGroups[0]?.Tasks[0]?.Templates ?? []
    const { EmbeddedTmpl, DestPath, Perms } = template as Record<string, string>
    t.match({ DestPath, Perms }, { DestPath: 'secrets/image.json', Perms: '0400' })
    t.notMatch(EmbeddedTmpl, /\{\{/, 'and is no template')
    return JSON.parse(EmbeddedTmpl ?? '')
  }
  const digest = `sha256:${'a1'.repeat(32)}`
  t.same(written('a:1'), { reference: 'a:1' })
  t.same(written(`h.example/a@${digest}`), { reference: `h.example/a@${digest}`, digest })
  t.same(written('{{{a}}'), { reference: '{{{a}}' })
})
