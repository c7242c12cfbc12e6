import t from 'tap'
import { enforcedControllers } from '../../../lib/sandbox/limits/enforced-controllers.ts'
import { openedGroups, skipWithoutGroups } from './opened-groups.ts'

const all = new Set(['cpu', 'memory', 'pids', 'freezer'])

t.test('gVisor: what is only noted down is not counted upon', async (t) => {
  // As `ls` showed the groups that runsc of September 2026 makes, and those of Linux less what does not matter here.
  const gvisor = {
    memory: ['memory.limit_in_bytes', 'memory.soft_limit_in_bytes', 'memory.usage_in_bytes', 'tasks'],
    cpu: ['cpu.cfs_period_us', 'cpu.cfs_quota_us', 'cpu.shares', 'tasks'],
    pids: ['pids.current', 'pids.max', 'tasks'],
  }
  const folder = (files: readonly string[]) => t.testdir(Object.fromEntries(files.map((name) => [name, ''])))
  t.same(await enforcedControllers(1, folder(gvisor.memory), new Set(['memory'])), new Set())
  t.same(await enforcedControllers(1, folder(gvisor.cpu), new Set(['cpu'])), new Set())
  t.same(await enforcedControllers(1, folder(gvisor.pids), new Set(['pids'])), new Set())
})

t.test('Linux: version 1 and version 2', async (t) => {
  t.same(await enforcedControllers(1, t.testdir({ 'memory.oom_control': '', 'pids.events': '', 'cpu.stat': '' }), all), all)
  t.same(await enforcedControllers(2, t.testdir({ 'memory.events': '', 'pids.events': '', 'cpu.stat': '' }), all), all)
})

t.test('this machine', { skip: skipWithoutGroups }, async (t) => {
  const { controllers } = await openedGroups(t)
  for (const one of ['memory', 'processes', 'cpu'] as const) t.ok(controllers.has(one), one)
})
