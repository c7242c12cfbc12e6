import type { Test } from 'tap'
import type { PoolStatus } from '../../../lib/pool/pool-status.ts'
import { type OpenOptions, SlotPool } from '../../../lib/pool/slot-pool.ts'
import { sleepers } from '../../fixtures/sleepers.ts'
import { backendOf } from './pool-under-test.ts'
import type { ContractSubject } from './subject.ts'

const sleeper = sleepers()

/** A pool that is moved over to other settings while it is used, by managers that have the settings of before and those that have the new ones. */
export async function rollingContract(t: Test, subject: ContractSubject): Promise<void> {
  const plan = await subject.makeOptions(t, { slots: 2, min: 1, max: 1 })
  const backend = await backendOf(t, plan)
  const changed: OpenOptions = { ...plan.options, slots: 3 }
  const open = async (options: OpenOptions): Promise<SlotPool> => {
    const pool = await SlotPool.open(options)
    t.teardown(() => pool.close())
    return pool
  }
  const versions = ({ containers }: PoolStatus) => containers.map(({ version, earlier }) => ({ version, earlier }))

  const before = await open(plan.options)
  const holder = await before.lease('holder')
  await holder.exec(`echo mine > kept; ${sleeper.command(8)} & echo started`)
  // A script knows no command that waits for anything.
  const waiting = plan.env ? holder.exec('until [ -e go ]; do sleep 0.05; done; cat kept') : holder.exec('cat kept')

  await t.test('one who asks for something else and says nothing of a change is refused', async (t) => {
    await t.rejects(open(changed), { code: 'POOL_CONFIG_MISMATCH', message: /up --roll/ })
    t.equal((await backend.list()).length, 1)
  })

  await t.test('who begins a change and ends leaves two versions, and one who comes again makes no third', async (t) => {
    for (let times = 0; times < 2; times++) await (await open({ ...changed, change: 'roll' })).close()
    const status = await before.status()
    t.same(status.containers.map((one) => one.earlier).sort(), [false, true])
    t.equal(new Set(versions(status).map((one) => one.version)).size, 2)
    t.equal(versions(status).find((one) => !one.earlier)?.version, status.version)
    t.match(await backend.shape(), { slots: 3 })
    const containers = await backend.list()
    t.equal(new Set(containers.map((one) => one.index)).size, 2, 'each has a place of its own')
  })

  const next = await open({ ...changed, change: 'roll' })
  let sawDraining = (): void => {}
  const draining = new Promise<void>((resolve) => {
    sawDraining = resolve
  })
  const finishing = next.finishChange({
    onProgress: (status) => status.containers.some((one) => one.earlier && one.state === 'draining') && sawDraining(),
  })
  finishing.catch(() => {})

  await t.test('a lease goes on where it is, and others are had in new containers, whoever asks', async (t) => {
    await Promise.race([draining, finishing])
    const [first, second] = [await before.lease('old-settings'), await next.lease('new-settings')]
    for (const slot of [first, second]) {
      t.not(slot.containerId, holder.containerId)
      t.match(await slot.exec('echo hi'), { stdout: 'hi\n', exitCode: 0 })
    }
    t.equal((await before.lease('holder')).leaseId, holder.leaseId)
    t.equal((await holder.exec(sleeper.find(8))).exitCode, 0, 'what runs there runs on')
    await holder.exec('echo now > go')
    t.match(await waiting, { stdout: 'mine\n', exitCode: 0 })
    t.equal((await backend.list()).length, 2, 'no more than one above the most')
    await Promise.all([first.release(), second.release()])
  })

  await t.test('who comes with the settings of before is told of the change', async (t) => {
    await t.rejects(open(plan.options), {
      code: 'POOL_CONFIG_MISMATCH',
      message: /since it was changed to version [0-9a-f]{8}/,
      details: { option: 'slots', running: 3, got: 2 },
    })
  })

  await t.test('the last lease ends, and its container goes', async (t) => {
    await holder.release()
    await finishing
    const status = await next.status()
    t.match(status, { containers: [{ earlier: false, version: status.version }], totals: { containers: 1, slots: 3 } })
    t.not(status.containers[0]?.id, holder.containerId)
  })

  await t.test('a pool that is so already is left as it is', async (t) => {
    const [only] = await backend.list()
    await (await open({ ...changed, change: 'roll' })).finishChange()
    t.match(await backend.list(), [{ id: only?.id, state: 'ready' }])
  })

  await t.test('a manager with the settings of before makes what it makes as the pool is now', async (t) => {
    const grown = await backend.grow(2)
    t.equal(new Set(grown.map((one) => one.version?.id)).size, 1)
    t.match((await next.status()).totals, { containers: 2, slots: 6 })
    await backend.destroy()
    t.same(await plan.left(), [])
  })
}
