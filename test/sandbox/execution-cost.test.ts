import { Session } from 'node:inspector/promises'
import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

const asRoot = process.geteuid?.() === 0

/** What one short command may cost both ends together, counted: a fifth more than it did when this was written. A time would depend on the machine. */
const mostAllocatedBytes = 140_000
const counted = 200

interface ProfileNode {
  selfSize: number
  children: ProfileNode[]
}

/** All that was allocated on the heap meanwhile, whether or not it was collected since. */
async function allocatedBytes(work: () => Promise<void>): Promise<number> {
  const session = new Session()
  session.connect()
  try {
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: 4096,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    })
    await work()
    const { profile } = await session.post('HeapProfiler.stopSampling')
    const sum = ({ selfSize, children }: ProfileNode): number => children.reduce((bytes, child) => bytes + sum(child), selfSize)
    return sum(profile.head)
  } finally {
    session.disconnect()
  }
}

t.test('a short command allocates little', { skip: asRoot ? false : 'its bound is that of a slot with control groups' }, async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', slots: 1 })
  const { leaseId } = await lease('a')
  let executions = 0
  const run = async (times: number): Promise<void> => {
    for (let at = 0; at < times; at++) {
      const { stdout } = await ran(client, leaseId, 'echo hello', { executionId: `of-one-length-${100_000 + executions++}` })
      if (stdout !== 'hello\n') throw new Error(`got ${stdout}`)
    }
  }
  // Until the compiler has settled, it allocates, too.
  await run(300)
  const bytes = (await allocatedBytes(() => run(counted))) / counted
  t.comment(`${Math.round(bytes)} bytes an execution`)
  t.ok(bytes > 10_000, 'it was counted')
  t.ok(bytes < mostAllocatedBytes, `${Math.round(bytes)} bytes, at most ${mostAllocatedBytes}`)
})

t.test('a short command is one process in its slot', { skip: asRoot ? false : 'elsewhere the slot counts with others' }, async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', slots: 1 })
  const { leaseId } = await lease('a')
  const pids: number[] = []
  for (let at = 0; at < counted; at++) {
    pids.push(Number((await ran(client, leaseId, 'echo $$', { executionId: `of-one-length-${100_000 + at}` })).stdout))
  }
  t.equal(new Set(pids).size, counted)
  // The slot counts its processes from 1; some wait for a command that comes later.
  const begun = Math.max(...pids) - Math.min(...pids) + 1
  t.ok(begun <= counted + 5, `${begun} processes for ${counted} commands`)
})
