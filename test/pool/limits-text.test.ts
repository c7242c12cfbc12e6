import t from 'tap'
import { limitsText, limitText } from '../../lib/pool/limits-text.ts'
import { noLimits } from '../../lib/wire/limits.ts'

t.test('sizes as a person says them', async (t) => {
  for (const [bytes, text] of [
    [1, '1 bytes'],
    [1024, '1 KiB'],
    [16 * 2 ** 20, '16 MiB'],
    [1.5 * 2 ** 30, '1.5 GiB'],
    [2 ** 50, '1 PiB'],
    [2 ** 52, '4 PiB'],
  ] as const) {
    t.equal(limitText('diskBytes', bytes), `disk ${text}`)
  }
})

t.test('only what holds', async (t) => {
  t.equal(limitsText(noLimits), '')
  const limits = { ...noLimits, processes: { value: 512, by: 'cgroup' }, cpuWeight: { value: 100, by: 'cgroup' } } as const
  t.equal(limitsText(limits), '512 processes, CPU weight 100')
})
