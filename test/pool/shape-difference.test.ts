import t from 'tap'
import type { PoolShape } from '../../lib/backend/backend.ts'
import { versionId } from '../../lib/backend/pool-version.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { changedShape, shapeDifference } from '../../lib/pool/shape-difference.ts'

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
  t.same(difference({ maxReuses: 3 }), { option: 'maxReuses', running: 'no bound', got: 3 })
  t.same(difference({ drainMs: 3 }), { option: 'drainMs', running: 0, got: 3 })
  t.equal(difference({ drainMs: 0 }), undefined)
  t.equal(shapeDifference(loadConfig({ maxReuses: 3 }, {}), { ...shape, maxReuses: 3 }), undefined)
  const tools = loadConfig({ toolsImage: 't:1' }, {})
  t.same(shapeDifference(tools, { ...shape, image: 'i:1' }), { option: 'toolsImage', running: 'none', got: 't:1' })
  t.equal(shapeDifference(tools, shape), undefined, 'where there is no image, it is nobody’s')
  t.equal(shapeDifference(tools, { ...shape, image: 'i:1', toolsImage: 't:1' }), undefined)
  t.equal(shapeDifference(loadConfig({}, {}), { ...shape, image: 'i:1', toolsImage: 't:1' }), undefined)
  t.same(difference({ networkAllow: [] }), { option: 'networkAllow', running: '10.0.0.1, 10.0.0.2', got: 'none' })
  const mounts = (options: NonNullable<SlotPoolOptions['mounts']>) => difference({ mounts: options })
  t.same(mounts([]), { option: 'mounts', running: '/a:/in:ro', got: 'none' })
  t.same(mounts([{ host: '/a', target: '/in', readOnly: false }]), { option: 'mounts', running: '/a:/in:ro', got: '/a:/in:rw' })
})

t.test('where containers may be, for a backend that has a choice', async (t) => {
  const at = (nomad: NonNullable<SlotPoolOptions['nomad']>) =>
    shapeDifference(loadConfig({ nomad }, {}), { ...shape, placement: { priority: 80, datacenters: ['a', 'b'] } })
  t.equal(at({}), undefined)
  t.equal(at({ priority: 80, datacenters: ['b', 'a'] }), undefined)
  t.same(at({ priority: 50 }), { option: 'nomad.priority', running: 80, got: 50 })
  t.same(at({ datacenters: ['a'] }), { option: 'nomad.datacenters', running: 'a, b', got: 'a' })
  t.same(at({ memoryMb: 512 }), { option: 'nomad.memoryMb', running: 'its default', got: 512 })
  t.equal(difference({ nomad: { priority: 50 } }), undefined)
})

t.test('what runs its containers, for a backend that has a choice', async (t) => {
  const docker: PoolShape = { ...shape, driver: 'docker', image: 'a:1' }
  const config = (options: SlotPoolOptions) => loadConfig({ env: 'nomad', ...options }, { XDG_STATE_HOME: '/state' })
  const other = config({ nomad: { driver: 'singularity' } })
  t.equal(shapeDifference(config({}), docker), undefined)
  t.equal(shapeDifference(config({ nomad: { driver: 'docker' } }), docker), undefined)
  t.same(shapeDifference(other, docker), { option: 'nomad.driver', running: 'docker', got: 'singularity' })
  t.equal(shapeDifference(other, shape), undefined, 'where there is no choice')
  t.same(changedShape(other, docker), { ...docker, driver: 'singularity', image: '/state/slotpool/sif/sandbox-0.1.sif' })
  t.same(changedShape(config({ nomad: { driver: 'docker' } }), docker), docker)
  t.not(versionId(docker, ''), versionId({ ...docker, driver: 'singularity' }, ''))
})

t.test('a pool that is changed has what was named, and all else as it runs', async (t) => {
  const changed = (options: SlotPoolOptions, running = shape) => changedShape(loadConfig(options, {}), running)
  t.same(changed({}), shape)
  t.same(changed({ slots: 3, limits: { openFiles: 64 } }), { ...shape, slots: 3, limits: { processes: 100, openFiles: 64 } })
  t.same(changed({ image: 'any' }), shape, 'where there is no image')
  t.same(changed({ image: 'i:2' }, { ...shape, image: 'i:1' }).image, 'i:2')
  t.match(changed({ image: 'i:2', toolsImage: 't:1' }, { ...shape, image: 'i:1' }), { image: 'i:2', toolsImage: 't:1' })
  t.match(changed({ image: 'i:2' }, { ...shape, image: 'i:1', toolsImage: 't:1' }), { image: 'i:2', toolsImage: 't:1' })
  t.notOk('toolsImage' in changed({ toolsImage: 't:1' }), 'where there is no image')
  t.same(changed({ mounts: [], drainMs: 0, maxReuses: 3 }), { ...shape, mounts: [], drainMs: 0, maxReuses: 3 })
  const placed = { ...shape, placement: { priority: 80, cpuMhz: 500 } }
  t.same(changed({ nomad: { memoryMb: 600 } }, placed).placement, { priority: 80, cpuMhz: 500, memoryMb: 600 })
  t.same(changed({ nomad: { cores: 2 } }, placed).placement, { priority: 80, cores: 2 }, 'one instead of the other')
})
