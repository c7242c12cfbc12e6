import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import type { Backend } from '../../lib/backend/backend.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { nomadAgent } from '../fixtures/nomad-agent.ts'
import { serverOf } from '../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../fixtures/nomad-pool.ts'
import { apptainerSkip, dockerSkip, nomadSkip } from '../fixtures/require-service.ts'
import { testSif } from '../fixtures/test-sif.ts'
import { allAttempts } from './all-attempts.ts'
import type { Beside } from './beside.ts'
import { runAttempts, slotsNeeded } from './run-attempts.ts'

t.setTimeout(600_000)

const skip =
  (process.env.SLOTPOOL_ESCAPE === undefined && 'is tried with SLOTPOOL_ESCAPE set, even to nothing') ||
  (await nomadSkip()) ||
  (await dockerSkip()) ||
  (await apptainerSkip()) ||
  (process.geteuid?.() !== 0 && 'needs root')

t.test('ways out of a slot: nomad with driver singularity', { skip, timeout: 600_000 }, async (t) => {
  const options = { image: await testSif(t), slots: slotsNeeded, isolation: 'jail', nomad: { driver: 'singularity' } } as const
  const agent = await nomadAgent(t, { driver: 'raw_exec' })
  const { backend: makeBackend, left, running, jobId } = nomadPool(t, agent, options)
  const backend = makeBackend()
  await using pool = await SlotPool.open({ ...options, env: 'nomad', backend, pool: jobId.slice('slotpool-'.length), max: 1 })
  const [allocation] = await running()
  const beside = await besideServer(await serverOf(allocation?.ID ?? ''), backend)
  await runAttempts(t, { name: 'nomad', pool, beside, ownContainer: true, controlledWith: 'local' }, await allAttempts())
  await pool.down()
  t.same(await left(), [], 'nothing of the pool is left')
})

/** The inside of the container that a process of this machine is in. */
async function besideServer(hostPid: number | undefined, backend: Backend): Promise<Beside> {
  if (hostPid === undefined) throw new Error('no sandbox server runs')
  const enter = ['-t', String(hostPid), '--mount', '--pid', '--ipc', '--root', '--wd', '--', 'bash', '-c']
  const run = async (script: string): Promise<string> => (await promisify(execFile)('nsenter', [...enter, script])).stdout
  const pid = Number(/^NSpid:.*\s(\d+)$/m.exec(await readFile(`/proc/${hostPid}/status`, 'utf8'))?.[1])
  const [served] = await backend.list()
  if (!served?.endpoint) throw new Error('the pool has no container that serves')
  return { run, server: { pid, stateDir: '/var/lib/slotpool', token: await backend.token(), endpoint: served.endpoint } }
}
