import t from 'tap'
import { SlotPool } from '../../../lib/index.ts'
import { NomadClient } from '../../../lib/nomad/client.ts'
import { readJob } from '../../../lib/nomad/jobs.ts'
import { readVariable } from '../../../lib/nomad/variables.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { makeNamespace, nomadAgent } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.setTimeout(300_000)

t.test('pools of one name in two namespaces have nothing to do with each other', { skip }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  const { client, connection } = agent
  const pool = testName()
  const jobId = `slotpool-${pool}`
  const opened = async (namespace: string) => {
    await makeNamespace(agent, namespace)
    const there = { ...connection, namespace }
    const within = new NomadClient(there)
    t.teardown(() => within.close())
    const one = await SlotPool.open({ env: 'nomad', pool, image, slots: 2, max: 1, nomad: there })
    t.teardown(() => one.close())
    return { pool: one, left: async () => [await readJob(within, jobId), await readVariable(within, `nomad/jobs/${jobId}`)] }
  }
  const [one, other] = [await opened('one'), await opened('other')]
  const mine = await one.pool.lease('a')
  await mine.exec('echo mine > file')
  const theirs = await other.pool.lease('a')
  t.not(theirs.leaseId, mine.leaseId, 'a task of the same name is another')
  t.equal((await theirs.exec('ls')).stdout, '')
  t.not(theirs.containerId, mine.containerId)
  for (const { pool } of [one, other]) t.equal((await pool.status()).totals.leased, 1)

  await other.pool.down()
  t.same(await other.left(), [null, null])
  await t.rejects(theirs.exec('true'), { code: 'LEASE_LOST' })
  t.equal((await mine.exec('cat file')).stdout, 'mine\n')
  t.same(await readJob(client, jobId), null, 'and there is none in the default one')
  await one.pool.down()
  t.same(await one.left(), [null, null])
})
