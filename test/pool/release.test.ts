import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Container } from '../../lib/backend/backend.ts'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { type Relay, relay } from '../fixtures/relay.ts'
import { seenBackend } from '../fixtures/seen-backend.ts'

/** A pool of one container that is reached by a way which can go down. */
async function poolByRelay(t: Test) {
  let runs = 0
  const backend = new FakeBackend({ slots: 2, script: () => ({ stdout: `run ${++runs}` }) })
  t.teardown(() => backend.destroy())
  const [container] = await backend.grow(1)
  const { hostname, port } = new URL(container?.endpoint?.url ?? '')
  const way = await relay(t, { host: hostname, port: Number(port) })
  const byWay = (one: Container): Container => (one.endpoint ? { ...one, endpoint: { url: urlOf(way) } } : one)
  const notices: string[] = []
  const pool = await SlotPool.open({
    backend: seenBackend(backend, { list: async () => (await backend.list()).map(byWay) }),
    slots: 2,
    max: 1,
    onNotice: (line) => notices.push(line),
  })
  t.teardown(() => pool.close())
  return { backend, container: container as Container, way, pool, notices, runs: () => runs }
}

const urlOf = ({ at }: Relay): string => `http://127.0.0.1:${'port' in at ? at.port : ''}`

t.test('a connection that breaks when the work is done costs neither its result nor the slot', async (t) => {
  const { backend, way, pool, runs } = await poolByRelay(t)
  const { release } = SandboxClient.prototype
  let failed = 0
  t.intercept(SandboxClient.prototype, 'release', {
    value: async function (this: SandboxClient, ...args: Parameters<typeof release>) {
      try {
        return await release.apply(this, args)
      } catch (error) {
        failed++
        await way.up()
        throw error
      }
    },
  })
  const result = await pool.withSlot('a', async (slot) => {
    const { stdout } = await slot.exec('work')
    await way.down()
    return stdout
  })
  t.equal(result, 'run 1')
  t.equal(failed, 1)
  t.equal(runs(), 1)
  t.equal(backend.usage().leased, 0)
})

t.test('a result is had although its slot cannot be given back, and that is told', async (t) => {
  const { way, pool, notices } = await poolByRelay(t)
  const result = await pool.withSlot('a', async (slot) => {
    const { stdout } = await slot.exec('work')
    await way.down()
    return stdout
  })
  t.equal(result, 'run 1')
  t.match(notices, [/the slot of task a could not be given back: .*; its lease ends within 300 s/])
  await t.rejects(
    pool.withSlot('a', () => {
      throw new RangeError('of the work')
    }),
    { code: 'SERVER_UNREACHABLE' },
    'that there is no slot is thrown',
  )
})

t.test('all slots are released although some are by others meanwhile', async (t) => {
  const { backend, pool } = await poolByRelay(t)
  await pool.lease('a')
  await pool.lease('b')
  const counts = await Promise.all([pool.releaseAll(), pool.releaseAll()])
  t.ok(counts.every((count) => count <= 2))
  t.equal(backend.usage().leased, 0)
})

t.test('who releases all slots is told of those in a container that could not be asked', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, slots: 1, max: 2 })
  t.teardown(() => pool.close())
  const [a, b] = [await pool.lease('a'), await pool.lease('b')]
  backend.pause(a.containerId)
  await t.rejects(pool.releaseAll(), {
    code: 'SERVER_UNREACHABLE',
    message: `released 1 slots, but not those of container ${a.containerId} on fake`,
    details: { released: 1, silentContainers: [a.containerId] },
  })
  t.equal(backend.usage().leased, 1)
  backend.resume(a.containerId)
  t.equal((await a.exec('anything')).exitCode, 0, 'its holder has it still')
  await t.rejects(b.exec('anything'), { code: 'LEASE_LOST' })
  await turnOfTheLoop()
  t.equal(await pool.releaseAll(), 1)
})
