import { readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findProgram } from '../../../lib/backend/find-program.ts'
import { SlotPool } from '../../../lib/index.ts'
import { readJob } from '../../../lib/nomad/jobs.ts'
import { backendContract } from '../../backend/contract.ts'
import { deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { killServerOf, mountsUnder, processesOf } from '../../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { apptainerSkip, dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { testSif } from '../../fixtures/test-sif.ts'

const skip = (await nomadSkip()) || (await dockerSkip()) || (await apptainerSkip())

t.setTimeout(600_000)

const driver = 'singularity' as const

t.test('driver singularity', { skip, timeout: 600_000 }, async (t) => {
  const image = await testSif(t)
  const agent = await nomadAgent(t, { driver: 'raw_exec' })
  const poolOn = (t: Parameters<typeof nomadPool>[0], more: Parameters<typeof nomadPool>[2] = {}) =>
    nomadPool(t, agent, { image, ...more, nomad: { driver } })

  const contract = process.env.SLOTPOOL_CONTRACT
  const byHand = contract === undefined && 'is tried with SLOTPOOL_CONTRACT set'
  await t.test('the contract of backends', { timeout: 600_000, skip: byHand }, async (t) => {
    await backendContract(t, {
      name: 'nomad',
      mounts: true,
      // All of it with `SLOTPOOL_CONTRACT=whole`.
      ...(contract === 'whole' ? {} : { containersAs: 'driver docker' }),
      makeOptions: async (t, size) => {
        const { jobId, left } = poolOn(t, size)
        const pool = jobId.slice('slotpool-'.length)
        const options = { ...size, env: 'nomad' as const, pool, image, nomad: { ...agent.connection, driver } }
        return { options, env: process.env, kill: ({ id }) => killServerOf(id), left }
      },
    })
  })

  await t.test('as root slots have jails, and nobody sees the token', { skip: process.geteuid?.() !== 0 && 'needs root' }, async (t) => {
    const under = poolOn(t)
    const backend = under.backend()
    await using pool = await SlotPool.open({ env: 'nomad', slots: 2, pool: under.jobId.slice('slotpool-'.length), backend })
    const slot = await pool.lease('a')
    t.match(slot.view, { isolation: 'jail', root: 'copy-on-write', network: 'outbound', user: 'root' })
    t.match(await slot.exec('echo x > /usr/here && grep CapAmb /proc/self/status'), { stdout: /^CapAmb:\s*0+\n$/ })
    t.match(await slot.exec('env; cat /proc/1/environ'), { stdout: /^((?!NOMAD_|APPTAINER|SINGULARITY).)*$/s })
    t.match(
      await slot.exec('ls -A /sys; cd /proc/$$/fd && echo *'),
      { stdout: /^0 1 2( 3)?\n$/ },
      'nothing of what Apptainer leaves open or makes',
    )
    const token = await backend.token()
    t.notMatch(JSON.stringify(await readJob(agent.client, under.jobId)), token)
    const [allocation] = await under.running()
    const id = allocation?.ID ?? ''
    const seen = await seenOf(id)
    t.match(seen, /sandbox-server\.js/)
    t.notMatch(seen, token)
    await pool.down()
    t.strictSame(await under.left(), [])
  })

  await t.test('a server that is killed leaves no process and no mount of its slots', async (t) => {
    const under = poolOn(t)
    const backend = under.backend()
    await using pool = await SlotPool.open({ env: 'nomad', slots: 2, pool: under.jobId.slice('slotpool-'.length), backend })
    await (await pool.lease('a')).exec('setsid sleep 1000 & disown; sleep 1000 & echo begun')
    const [allocation] = await under.running()
    const id = allocation?.ID ?? ''
    t.ok((await processesOf(id)).length > 4)
    const before = (await mountsUnder(agent.dataFolder)).length
    await killServerOf(id)
    await under.until((all) => all.find((one) => one.ID === id)?.ClientStatus === 'failed')
    t.strictSame(await processesOf(id), [])
    t.ok((await mountsUnder(agent.dataFolder)).length <= before)
    await pool.down()
    t.strictSame(await under.left(), [])
  })

  await t.test('a pool of the other driver is another pool', async (t) => {
    const under = poolOn(t)
    await under.backend().grow(1)
    const open = (nomad: object) =>
      SlotPool.open({ env: 'nomad', slots: 2, pool: under.jobId.slice('slotpool-'.length), nomad: { ...agent.connection, ...nomad } })
    const difference = { code: 'POOL_CONFIG_MISMATCH', details: { option: 'nomad.driver', running: driver, got: 'docker' } }
    await t.rejects(open({ driver: 'docker' }), difference)
    await using pool = await open({})
    t.match(await (await pool.lease('a')).exec('echo hello'), { stdout: 'hello\n' }, 'who names none takes it as it is')
  })

  await t.test('an image that the node does not have', async (t) => {
    const missing = join(agent.dataFolder, 'no.sif')
    const pool = poolOn(t, { image: missing })
    const error = await failure(pool.backend().grow(2))
    t.match(error, { code: 'IMAGE_NOT_FOUND', message: new RegExp(`^node \\S+ has no image ${missing} `) })
    t.strictSame(await pool.left(), [])
  })

  await t.test('a registry that is not there', async (t) => {
    const pool = poolOn(t, { image: `docker://${new URL(await deadAddress()).host}/no/such:1` })
    const error = await failure(pool.backend().grow(1))
    t.match(error, { code: 'IMAGE_PULL_FAILED', message: /^node \S+ could not make a SIF of docker:.*connection refused/ })
    t.strictSame(await pool.left(), [])
  })
})

t.test('a node without the driver raw_exec', { skip: (await nomadSkip()) || (await dockerSkip()) }, async (t) => {
  const agent = await nomadAgent(t, { config: { plugin: [{ raw_exec: { config: [{ enabled: false }] } }] } })
  const pool = nomadPool(t, agent, { image: '/image.sif', nomad: { driver } })
  const error = await failure(pool.backend().grow(1))
  t.match(error, {
    code: 'NOMAD_PLACEMENT_FAILED',
    message: /driver raw_exec: t-\S+ has no raw_exec driver: its agent does not enable that plugin/,
  })
  t.strictSame(await pool.left(), [])
})

t.test('a node without Apptainer', { skip: (await nomadSkip()) || (await dockerSkip()) }, async (t) => {
  const bin = t.testdir({})
  for (const name of ['bash', 'cat', 'df', 'nomad', 'sed', 'sh', 'tr'])
    await symlink(findProgram(name, process.env.PATH) ?? name, join(bin, name))
  const agent = await nomadAgent(t, { driver: 'raw_exec', path: bin })
  const pool = nomadPool(t, agent, { image: '/image.sif', nomad: { driver } })
  const error = await failure(pool.backend().grow(1))
  t.match(error, {
    code: 'NOMAD_TASK_FAILED',
    retryable: false,
    message: `has neither apptainer nor singularity on the PATH of its Nomad agent, which is ${bin};`,
  })
  t.match(error.message, /^node t-/)
  t.strictSame(await pool.left(), [])
})

/** What anybody on the node can see of an allocation's processes, and those that make it. */
async function seenOf(allocationId: string): Promise<string> {
  const files = (await processesOf(allocationId)).flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`])
  return (await Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => '')))).join('\n')
}

interface Failure {
  code: string
  message: string
}

async function failure(call: Promise<unknown>): Promise<Failure> {
  try {
    await call
  } catch (error) {
    return error as Failure
  }
  throw new Error('it did not fail')
}
