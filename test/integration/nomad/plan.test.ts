import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { jobHcl } from '../../../lib/nomad/job-hcl.ts'
import { type PoolJob, poolJobSpec } from '../../../lib/nomad/job-spec.ts'
import { readJob, registerJob } from '../../../lib/nomad/jobs.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { cli } from '../../fixtures/cli.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const withoutNomad = await nomadSkip()

t.setTimeout(300_000)

const job: PoolJob = {
  ...{ pool: 'p', image: 'i:1', slots: 4, isolation: 'auto', network: 'none', version: '1.2.3', count: 3 },
  ...{ limits: {}, networkAllow: [], mounts: [], placement: {} },
}

t.test('a job as a file is the same job to Nomad', { skip: withoutNomad }, async (t) => {
  const jobs: PoolJob[] = [
    job,
    { ...job, isolation: 'uid', drainMs: 1_500 },
    { ...job, toolsImage: 't:1' },
    { ...job, driver: 'singularity', image: '/x.sif', mounts: [{ host: '/a, "b"', target: '/in', readOnly: true, description: null }] },
    {
      ...job,
      limits: { processes: 100 },
      mounts: [
        { host: '/data "x"', target: '/in', readOnly: true, description: 'of $HOME, 100 %{ is }, ${x}' },
        { host: '/other', target: '/out', readOnly: false, description: null },
      ],
      placement: {
        datacenters: ['eu-*', 'us-1'],
        nodePool: 'agents',
        constraints: ['${attr.kernel.name} = linux', '${meta.gpu} is_set', 'distinct_hosts', '${meta.rack} distinct_property 2'],
        priority: 80,
        cores: 2,
      },
    },
  ]
  for (const one of jobs) {
    const file = join(t.testdir(), 'job.nomad.hcl')
    await writeFile(file, jobHcl(poolJobSpec(one)))
    const { stdout } = await promisify(execFile)('nomad', ['job', 'run', '-output', file])
    t.match(JSON.parse(stdout).Job, poolJobSpec(one))
  }
})

t.test('what would change is shown, and nothing is changed', { skip: withoutNomad || (await dockerSkip()) }, async (t) => {
  const image = await builtImage(t)
  const { address, client } = await nomadAgent(t)
  const { pool, run } = await cli(t, { TERMINAL_ENV: 'nomad', TERMINAL_NOMAD_ADDRESS: address, TERMINAL_NOMAD_IMAGE: image })
  const id = `slotpool-${pool}`
  const plan = (...args: string[]) => run(['nomad', 'plan', ...args])

  const first = await plan()
  t.match(first, { code: 0, stderr: '', stdout: new RegExp(`^\\+ job ${id}\n(.*\n)*    \\+ task sandbox-server`) })
  t.match(first.stdout, /job modify index 0\n$/)
  t.equal(await readJob(client, id), null)

  t.match(await run(['up']), { code: 0 })
  t.teardown(() => run(['down']))
  const before = (await readJob(client, id))?.JobModifyIndex
  t.equal((await plan()).stdout, `job ${id}: nothing changes\njob modify index ${before}\n`)

  const other = await plan('--image', 'slotpool/other:1', '--slots', '3')
  t.match(other.stdout, new RegExp(`^± job ${id}\n`))
  t.match(other.stdout, `image: "${image}" => "slotpool/other:1"`)
  t.match(
    other.stdout,
    /group sandbox \(1 create\/destroy update\)\n( {4}.*\n)* {4}± task sandbox-server \(forces create\/destroy update\)\n/,
  )
  t.equal((await readJob(client, id))?.JobModifyIndex, before)

  const current = await readJob(client, id)
  if (current) await registerJob(client, { ...current, Priority: 70 }, current.JobModifyIndex)
  t.match((await plan()).stdout, '\n  ± Priority: "70" => "50"\n', 'what somebody has changed by hand')
  t.match((await plan('--slots', '1000', '--pool', 'other')).stdout, /^\+ job slotpool-other\n/)

  const dump = await plan('--dump', 'json')
  t.match(JSON.parse(dump.stdout), { Job: { ID: id, TaskGroups: [{ Tasks: [{ Config: { image } }] }] } })
  t.match((await plan('--dump', 'hcl')).stdout, new RegExp(`^job "${id}" \\{\n`))
  t.match(await plan('--dump', 'yaml'), { code: 2, stderr: /"yaml".*"json", "hcl"/ })
})
