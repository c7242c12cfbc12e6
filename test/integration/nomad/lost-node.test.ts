import t from 'tap'
import { SlotPool, SlotpoolError } from '../../../lib/index.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadCluster } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.setTimeout(300_000)

t.test(
  'one of two nodes is gone: what was leased there is lost, what was leased on the other goes on, and the pool heals',
  { skip },
  async (t) => {
    const image = await builtImage(t)
    const { connection, nodes } = await nomadCluster(t, 2)
    const options = { env: 'nomad', pool: testName(), image, slots: 1, min: 2, max: 2 } as const
    const pool = await SlotPool.open({ ...options, nomad: { ...connection, fallback: 'none', constraints: ['distinct_hosts'] } })
    t.teardown(() => pool.close())
    await pool.fill()
    const slots = [await pool.lease('a'), await pool.lease('b')] as const
    const { containers } = await pool.status()
    t.same(containers.map((one) => one.node).sort(), nodes.map((one) => one.name).sort(), 'a container on each')
    const nodeOf = (containerId: string) => containers.find((one) => one.id === containerId)?.node
    for (const slot of slots) await slot.exec('echo mine > file')

    const [gone] = nodes
    const there = slots.find((slot) => nodeOf(slot.containerId) === gone?.name)
    const elsewhere = slots.find((slot) => slot !== there)
    if (!gone || !there || !elsewhere) throw new Error('no task on the node')
    // Its container runs on, but nobody knows that.
    const running = there.exec('sleep 600', { timeoutMs: 600_000 })
    running.catch(() => {})
    await gone.kill()
    const error = await running.then(
      () => undefined,
      (error) => error,
    )
    t.type(error, SlotpoolError)
    t.match(error, { code: /^(LEASE_LOST|EXECUTION_OUTCOME_UNKNOWN)$/, failure: /^(lost|unknown)$/ })
    await t.rejects(there.exec('true'), { code: 'LEASE_LOST', failure: 'lost' })
    t.equal((await elsewhere.exec('cat file')).stdout, 'mine\n')

    // There is room again.
    await gone.start()
    const again = await pool.lease(there.taskId, { waitMs: 60_000 })
    t.equal((await again.exec('ls')).stdout, '', 'it has a new slot')
    t.not(again.containerId, there.containerId)
    const healed = (await pool.status()).containers.filter((one) => one.state === 'ready')
    t.same(healed.map((one) => one.node).sort(), nodes.map((one) => one.name).sort(), 'a container on each again')
    t.equal((await elsewhere.exec('cat file')).stdout, 'mine\n')
    await pool.down()
  },
)
