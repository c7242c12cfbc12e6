import type { Test } from 'tap'
import { sleepers } from '../fixtures/sleepers.ts'
import { changeContract } from './contract/changes.ts'
import { commandContract } from './contract/commands.ts'
import { containerContract } from './contract/containers.ts'
import { executionContract } from './contract/executions.ts'
import { fileContract } from './contract/files.ts'
import { fullPoolContract } from './contract/full-pool.ts'
import { leaseContract } from './contract/leases.ts'
import { manyTasksContract } from './contract/many-tasks.ts'
import { mountContract } from './contract/mounts.ts'
import { openPool } from './contract/pool-under-test.ts'
import { rollingContract } from './contract/rolling.ts'
import type { ContractSubject } from './contract/subject.ts'

const sleeper = sleepers()

/** What every backend has to do, through `SlotPool`, as its users meet it. */
export async function backendContract(t: Test, subject: ContractSubject): Promise<void> {
  const timeout = 240_000
  const asWith = (other: string | undefined): string | false => other !== undefined && `as with ${other}`
  const skip = asWith(subject.containersAs)
  const skipSlots = asWith(subject.slotsAs)
  await t.test('containers', { timeout, skip }, (t) => containerContract(t, subject))
  await t.test('changes', { timeout, skip }, (t) => changeContract(t, subject))
  await t.test('rolling', { timeout, skip }, (t) => rollingContract(t, subject))
  await t.test('one small pool', { timeout }, async (t) => {
    // What one container can show is shown by one: on some backends a pool takes seconds to make.
    const under = await openPool(t, subject, { slots: 2, min: 1, max: 1 })
    await t.test('leases', (t) => leaseContract(t, under))
    await t.test('a full pool', (t) => fullPoolContract(t, under))
    await t.test('commands', { skip: skipSlots }, (t) => commandContract(t, under))
    await t.test('executions', { skip: skipSlots }, (t) => executionContract(t, under))
    await t.test('files', { skip: skipSlots }, (t) => fileContract(t, under))
    await t.test('down leaves nothing', async (t) => {
      await under.pool.lease('still-running').then((slot) => slot.exec(`${sleeper.command(0)} & echo started`))
      await under.pool.down()
      t.same(await under.left(), [])
    })
  })
  if (subject.mounts) await t.test('mounts', { timeout }, (t) => mountContract(t, subject))
  await t.test('many tasks', { timeout, skip }, (t) => manyTasksContract(t, subject))
}
