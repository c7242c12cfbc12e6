import { totalmem } from 'node:os'
import t from 'tap'
import type { GroupController } from '../../../lib/sandbox/limits/control-groups.ts'
import { decideLimits } from '../../../lib/sandbox/limits/in-force.ts'
import { readMachine } from '../../../lib/sandbox/limits/machine.ts'
import { limitsInForce } from '../../../lib/wire/limits.ts'

const machine = { memoryBytes: 1000, freeDiskBytes: 501, openFiles: 100_000 }
const all = new Set<GroupController>(['memory', 'processes', 'cpu', 'kill'])

t.test('the usual limits, where control groups can see to them', async (t) => {
  const limits = decideLimits({ asked: {}, controllers: all, ownUser: false, machine })
  t.same(limits, {
    memoryBytes: { value: 750, by: 'cgroup' },
    processes: { value: 1024, by: 'cgroup' },
    cpuWeight: { value: 100, by: 'cgroup' },
    openFiles: { value: 65_536, by: 'rlimit' },
    diskBytes: { value: 250, by: 'watch' },
    outputBytes: null,
  })
  t.same(limitsInForce.parse(limits), limits)
})

t.test('without control groups, what is left', async (t) => {
  const asked = { memoryBytes: 2 ** 30, processes: 50, cpuWeight: 10, openFiles: 200_000, diskBytes: 2 ** 30, outputBytes: 2048 }
  const limits = decideLimits({ asked, controllers: new Set(), ownUser: true, machine })
  t.same(limits, {
    memoryBytes: null,
    processes: { value: 50, by: 'rlimit' },
    cpuWeight: null,
    openFiles: { value: 100_000, by: 'rlimit' },
    diskBytes: { value: 2 ** 30, by: 'watch' },
    outputBytes: { value: 2048, by: 'server' },
  })
  t.equal(decideLimits({ asked, controllers: new Set(['kill']), ownUser: false, machine }).processes, null)
})

t.test('the machine', async (t) => {
  const { memoryBytes, freeDiskBytes, openFiles } = await readMachine('/tmp')
  t.ok(memoryBytes > 2 ** 24 && memoryBytes <= totalmem())
  t.ok(freeDiskBytes > 0)
  t.ok(openFiles >= 64)
})
