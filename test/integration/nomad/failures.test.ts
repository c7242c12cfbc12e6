import { totalmem } from 'node:os'
import t from 'tap'
import type { AllocationStub } from '../../../lib/nomad/allocations.ts'
import { readJob } from '../../../lib/nomad/jobs.ts'
import { readVariable } from '../../../lib/nomad/variables.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { answering, deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

/** Two of it do not fit on this machine. */
const mostMemoryMb = Math.floor((totalmem() / 1024 / 1024) * 0.6)

t.test('what goes wrong on a real Nomad is one error at once, and leaves nothing', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)

  await t.test('no room for the first container', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const error = await failure(pool.backend({ nomad: { memoryMb: 100_000_000 } }).grow(2))
    t.match(error, { code: 'NOMAD_PLACEMENT_FAILED', details: { missing: 2, reasons: ['dimension "memory" exhausted on 1 node'] } })
    t.match(error, { details: { blocked: true, dimensions: { memory: 1 }, nodesEvaluated: 1, wanted: 2, placeable: 0 } })
    t.strictSame(await pool.left(), [])
  })

  await t.test('no room for another one: what runs stays as it is, and the count goes back', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const backend = pool.backend({ nomad: { memoryMb: mostMemoryMb } })
    const before = await backend.grow(1)
    t.match(await failure(backend.grow(3)), {
      code: 'NOMAD_PLACEMENT_FAILED',
      details: { missing: 2, blocked: true, dimensions: { memory: 1 }, wanted: 3, placeable: 1 },
    })
    t.strictSame(await backend.list(), before)
    t.equal(await pool.count(), 1)
    t.strictSame(await backend.grow(1), before, 'an earlier failure does not count against it')
  })

  await t.test('an image that a registry does not have', async (t) => {
    const registry = await answering(t, (request, response) => {
      const known = request.url === '/v2/'
      response.writeHead(known ? 200 : 404, { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' })
      response.end(known ? '{}' : JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }))
    })
    const missing = `${new URL(registry).host}/no/such:1`
    const pool = nomadPool(t, agent, { image: missing })
    const error = await failure(pool.backend().grow(2))
    t.match(error, { code: 'IMAGE_NOT_FOUND', retryable: false, details: { image: missing } })
    t.match(error.message, /Failed to pull .*manifest unknown/)
    t.strictSame(await pool.left(), [])
  })

  await t.test('a registry that is not there', async (t) => {
    const pool = nomadPool(t, agent, { image: `${new URL(await deadAddress()).host}/no/such:1` })
    t.match(await failure(pool.backend().grow(1)), { code: 'IMAGE_PULL_FAILED', retryable: true, message: /connection refused/ })
    t.strictSame(await pool.left(), [])
  })

  await t.test('a sandbox server that cannot start: its own error', async (t) => {
    const body = JSON.stringify({ code: 'ISOLATION_UNAVAILABLE', message: 'got jail, expected bubblewrap', retryable: false })
    const broken = await builtImage(
      t,
      `console.error('starting'); console.error('slotpool-error: ' + ${JSON.stringify(body)}); process.exit(1)`,
    )
    const pool = nomadPool(t, agent, { image: broken })
    t.match(await failure(pool.backend().grow(2)), { code: 'ISOLATION_UNAVAILABLE', message: 'got jail, expected bubblewrap' })
    t.strictSame(await pool.left(), [])
  })

  await t.test('a program that is no sandbox server: Nomad’s words and its last lines', async (t) => {
    const broken = await builtImage(t, `console.error('what is this?'); process.exit(7)`)
    const pool = nomadPool(t, agent, { image: broken })
    const error = await failure(pool.backend().grow(1))
    t.match(error, { code: 'NOMAD_TASK_FAILED', details: { output: 'what is this?' } })
    t.match(error.message, /Exit Code: 7/)
    t.match(error.message, /its last lines:\nwhat is this\?/)
    t.strictSame(await pool.left(), [])
  })

  await t.test('given up while it starts', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const abort = new AbortController()
    const growing = pool.backend().grow(2, abort.signal)
    const failed = failure(growing)
    await pool.until((all) => all.length === 2)
    abort.abort()
    t.match(await failed, { code: 'CANCELLED' })
    t.strictSame(await pool.left(), [])
  })

  await t.test('given up while it grows, by closing it: what ran before stays', async (t) => {
    const pool = nomadPool(t, agent, { image })
    const before = await pool.backend().grow(1)
    const closing = pool.backend()
    const failed = failure(closing.grow(3))
    await pool.until((all) => all.length === 3)
    await closing.close()
    t.match(await failed, { code: 'CANCELLED' })
    t.strictSame(await pool.backend().list(), before)
    t.equal(await pool.count(), 1)
    t.equal((await pool.running()).length, 1)
  })

  await t.test('given up during a pull, which Nomad cannot stop: that is said, and the job is gone', async (t) => {
    const registry = await answering(t, (request, response) => {
      // It never tells what the image is made of.
      if (request.url === '/v2/') response.end('{}')
    })
    const pool = nomadPool(t, agent, { image: `${new URL(registry).host}/no/such:1` })
    const abort = new AbortController()
    const failed = failure(pool.backend().grow(1, abort.signal))
    await pool.until((all) => lastWords(all[0]) === 'Downloading image')
    abort.abort()
    t.match(await failed, { code: 'CANCELLED', message: /still ending slotpool-.*\[0\]: a pull that is under way/ })
    t.equal(await readJob(agent.client, pool.jobId), null)
    t.equal(await readVariable(agent.client, `nomad/jobs/${pool.jobId}`), null)
  })

  await t.test('given up before it began', async (t) => {
    const pool = nomadPool(t, agent, { image })
    t.match(await failure(pool.backend().grow(1, AbortSignal.abort())), { code: 'CANCELLED' })
    t.strictSame(await pool.left(), [])
  })
})

t.test('a client that does not allow the capabilities of a jail', { skip }, async (t) => {
  const image = await builtImage(t)
  // The docker plugin's own defaults, but for the images: they belong to this machine.
  const agent = await nomadAgent(t, { config: { plugin: [{ docker: { config: [{ gc: [{ image: false }] }] } }] } })
  const pool = nomadPool(t, agent, { image })

  const error = await failure(pool.backend().grow(1))
  t.match(error, { code: 'NOMAD_TASK_FAILED', retryable: false })
  t.match(error.message, /driver does not allow the following capabilities: (net_admin|sys_admin|sys_ptrace).*TERMINAL_ISOLATION=uid/)
  t.strictSame(await pool.left(), [])

  t.match(await pool.backend({ isolation: 'uid' }).grow(1), [{ state: 'ready' }])
})

function lastWords(allocation: AllocationStub | undefined): string | undefined {
  return allocation?.TaskStates?.['sandbox-server']?.Events?.at(-1)?.DisplayMessage
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
