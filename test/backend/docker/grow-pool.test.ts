import t from 'tap'
import { type GrowContext, growPool } from '../../../lib/backend/docker/grow-pool.ts'
import type { PoolContainer } from '../../../lib/backend/docker/pool-containers.ts'
import { SlotpoolError } from '../../../lib/errors.ts'

/** An engine of one's own: what is in `containers` runs and is ready, unless its state says otherwise. */
function scripted(containers: PoolContainer[], more: Partial<GrowContext> = {}): GrowContext & { asked: number[]; undone: string[] } {
  const asked: number[] = []
  const undone: string[] = []
  return {
    asked,
    undone,
    pool: 'p',
    list: async () => [...containers],
    findHalfMade: async () => [],
    describe: async ({ id, index }) => ({ id, index, node: 'n', state: 'ready', endpoint: { url: 'http://127.0.0.1:1' } }),
    make: async (index) => {
      asked.push(index)
      containers.push(container(index))
      return `made-${index}`
    },
    remove: async (id) => {
      const at = containers.findIndex((one) => one.id === id)
      if (at >= 0) containers.splice(at, 1)
    },
    undo: async (ids) => {
      undone.push(...ids)
    },
    ...more,
  }
}

function container(index: number, state = 'running'): PoolContainer {
  const shape = { image: 'i', slots: 1, isolation: 'auto', network: 'outbound', limits: {}, networkAllow: [], mounts: [] }
  const id = `made-${index}`
  const version = { id: '1a2b3c4d', generation: 0, image: 'i' }
  const engine = { state, status: 'Up', createdAtMs: 0, imageId: 'sha256:1', run: id, endpoint: { url: 'http://127.0.0.1:1' } }
  return { id, pool: 'p', index, shape, version, ...engine }
}

t.test('fills the lowest indexes, and what ended makes room first', async (t) => {
  const containers = [container(0, 'exited'), container(1), container(3)]
  const context = scripted(containers)
  const grown = await growPool(context, 4)
  t.same(context.asked, [0, 2])
  t.equal(grown.length, 4)
})

t.test('an index that another process takes is waited for, not made twice', async (t) => {
  const containers: PoolContainer[] = []
  const context = scripted(containers, {
    make: async (index) => {
      context.asked.push(index)
      containers.push(container(index))
      return undefined
    },
  })
  t.equal((await growPool(context, 1)).length, 1)
  t.same(context.asked, [0])
})

t.test('a failure ends the others and takes back what was made', async (t) => {
  const failure = new SlotpoolError('CONTAINER_FAILED', 'no')
  const context = scripted([], {
    make: async (index, signal) => {
      if (index === 0) return 'made-0'
      if (index === 1) throw failure
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new SlotpoolError('CANCELLED', 'stopped'))))
    },
  })
  await t.rejects(growPool(context, 3), failure)
  t.same(context.undone, ['made-0'])
})

t.test('who gave up is told when taking back failed; who failed, why', async (t) => {
  const undo = async () => {
    throw new SlotpoolError('DOCKER_UNAVAILABLE', 'gone')
  }
  await t.rejects(growPool(scripted([], { undo }), 1, AbortSignal.abort()), { code: 'DOCKER_UNAVAILABLE' })
  const make = async () => {
    throw new SlotpoolError('IMAGE_NOT_FOUND', 'no')
  }
  await t.rejects(growPool(scripted([], { undo, make }), 1), { code: 'IMAGE_NOT_FOUND' })
})
