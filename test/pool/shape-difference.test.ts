import t from 'tap'
import type { PoolShape } from '../../lib/backend/backend.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { shapeDifference } from '../../lib/pool/shape-difference.ts'

const shape: PoolShape = {
  image: null,
  slots: 2,
  isolation: 'auto',
  network: 'outbound',
  limits: { processes: 100 },
  networkAllow: ['10.0.0.1', '10.0.0.2'],
  mounts: [{ host: '/a', target: '/in', readOnly: true, description: 'one' }],
}
const difference = (options: SlotPoolOptions) => shapeDifference(loadConfig(options, {}), shape)

t.test('what nobody named is as the pool has it', async (t) => {
  t.equal(difference({}), undefined)
  t.equal(difference({ image: 'any' }), undefined, 'where the backend cannot tell')
})

t.test('the same, said otherwise', async (t) => {
  const options: SlotPoolOptions = {
    slots: 2,
    limits: { processes: 100 },
    networkAllow: ['10.0.0.2', '10.0.0.1'],
    mounts: [{ host: '/a/', target: '/in', description: 'another' }],
  }
  t.equal(difference(options), undefined)
})

t.test('what differs', async (t) => {
  t.same(difference({ slots: 3 }), { option: 'slots', running: 2, got: 3 })
  t.same(difference({ limits: { processes: 50 } }), { option: 'limits.processes', running: 100, got: 50 })
  t.same(difference({ limits: { openFiles: 64 } }), { option: 'limits.openFiles', running: 'its default', got: 64 })
  t.same(difference({ networkAllow: [] }), { option: 'networkAllow', running: '10.0.0.1, 10.0.0.2', got: 'none' })
  const mounts = (options: NonNullable<SlotPoolOptions['mounts']>) => difference({ mounts: options })
  t.same(mounts([]), { option: 'mounts', running: '/a:/in:ro', got: 'none' })
  t.same(mounts([{ host: '/a', target: '/in', readOnly: false }]), { option: 'mounts', running: '/a:/in:ro', got: '/a:/in:rw' })
})
