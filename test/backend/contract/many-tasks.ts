import type { Test } from 'tap'
import { sleepers } from '../../fixtures/sleepers.ts'
import { openPool } from './pool-under-test.ts'
import type { ContractSubject } from './subject.ts'

const sleeper = sleepers()

const containers = 3
const slots = 10

/** As many tasks at once as the pool has slots: each gets one of its own, and none meets another. */
export async function manyTasksContract(t: Test, subject: ContractSubject): Promise<void> {
  const { pool, left } = await openPool(t, subject, { slots, min: 1, max: containers })
  const tasks = Array.from({ length: containers * slots }, (_, i) => `task-${i}`)

  const leases = await Promise.all(tasks.map((task) => pool.lease(task, { waitMs: 120_000 })))
  t.equal(new Set(leases.map((one) => `${one.containerId} ${one.slot}`)).size, tasks.length)
  t.match(await pool.status(), { totals: { containers, slots: tasks.length, leased: tasks.length, idle: 0 } })

  await Promise.all(leases.map((slot) => slot.exec(`echo ${slot.taskId} > mine; echo x > of-${slot.taskId}; ${sleeper.command(10)} & :`)))
  const seen = await Promise.all(leases.map((slot) => slot.exec('cat mine; ls')))
  t.same(
    seen.map((one) => one.stdout),
    tasks.map((task) => `${task}\nmine\nof-${task}\n`),
  )
  if (leases[0]?.isolation === 'jail') {
    const processes = await Promise.all(leases.map((slot) => slot.exec(sleeper.find(10).replace('pgrep', 'pgrep -c'))))
    t.same(
      processes.map((one) => one.stdout),
      tasks.map(() => '1\n'),
      'each sees its own process only',
    )
  }

  t.equal(await pool.releaseAll(), tasks.length)
  await pool.down()
  t.same(await left(), [])
}
