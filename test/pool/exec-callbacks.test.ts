import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/index.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'

t.test('a callback may return anything: only a promise is waited for', async (t) => {
  const backend = new FakeBackend({ script: () => ({ stdout: 'out', stderr: 'err' }) })
  await using pool = await SlotPool.open({ backend })
  t.teardown(() => backend.destroy())
  const seen: string[] = []
  let waitedFor = false
  await pool.withSlot('callbacks', async (slot) => {
    const result = await slot.exec('anything', {
      onStdout: (chunk) => seen.push(chunk) > 0,
      onStderr: (chunk) =>
        new Promise((resolve) =>
          setImmediate(() => {
            seen.push(chunk)
            waitedFor = true
            resolve('ignored')
          }),
        ),
    })
    t.match(result, { stdout: 'out', stderr: 'err', exitCode: 0 })
  })
  t.same(seen.sort(), ['err', 'out'])
  t.ok(waitedFor)
})
