import t from 'tap'
import { cpuSetting } from '../../../lib/sandbox/limits/cpu-weight.ts'

t.test('the usual weight is the kernel’s own default in both versions', async (t) => {
  t.same(cpuSetting(1, 100), { file: 'cpu.shares', value: 1024 })
  t.same(cpuSetting(2, 100), { file: 'cpu.weight', value: 100 })
})

t.test('weights keep their proportions, within what the kernel takes', async (t) => {
  t.equal(cpuSetting(1, 1).value, 10)
  t.equal(cpuSetting(1, 10_000).value, 102_400)
  t.equal(cpuSetting(2, 10_000).value, 10_000)
})
