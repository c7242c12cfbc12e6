import fc from 'fast-check'
import t from 'tap'
import { OutputLog } from '../../lib/sandbox/output-log.ts'
import { maxFrameBytes } from '../../lib/wire/frames.ts'

/** The bytes that a stream has from `start` on: each tells its offset. */
function bytesFrom(start: number, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (start + i) % 251))
}

const retainedBytes = 1000

type Step = { append: number } | { read: number } | { attach: number } | { detach: number }

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ append: fc.integer({ min: 1, max: 400 }) }) },
    { weight: 4, arbitrary: fc.record({ read: fc.nat({ max: 2 }) }) },
    fc.record({ attach: fc.nat({ max: 5000 }) }),
    fc.record({ detach: fc.nat({ max: 2 }) }),
  ),
  { maxLength: 80 },
)

t.test('every reader gets every byte in its place, or is told how many it missed; memory stays bounded', async (t) => {
  fc.assert(
    fc.property(steps, (all: Step[]) => {
      const log = new OutputLog(retainedBytes)
      let written = 0
      const cursors: ReturnType<OutputLog['attach']>[] = []
      for (const step of all) {
        if ('append' in step) {
          log.append(bytesFrom(written, step.append))
          written += step.append
        } else if ('attach' in step) cursors.push(log.attach(Math.min(step.attach, written)))
        else if ('detach' in step) cursors.splice(step.detach, 1)[0]?.detach()
        else {
          const cursor = cursors[step.read]
          if (!cursor) continue
          const before = cursor.offset
          const { missedBytes, chunk } = cursor.next()
          if (missedBytes > 0) t.ok(before + missedBytes >= written - log.heldBytes, 'nothing that was held was missed')
          if (chunk) t.ok(chunk.equals(bytesFrom(before + missedBytes, chunk.length)))
          else t.equal(cursor.offset, written)
          t.equal(cursor.offset, before + missedBytes + (chunk?.length ?? 0))
        }
        t.equal(log.bytes, written)
        t.ok(log.heldBytes < retainedBytes + 400)
        t.ok(log.heldBytes >= Math.min(written, retainedBytes))
      }
    }),
  )
})

t.test('with a reader that reads, a stream of any length is whole', async (t) => {
  const log = new OutputLog(retainedBytes)
  const cursor = log.attach(0)
  let got = 0
  for (let written = 0; written < 100_000; written += 333) {
    log.append(bytesFrom(written, 333))
    const { missedBytes, chunk } = cursor.next()
    t.equal(missedBytes, 0)
    t.ok(chunk?.equals(bytesFrom(got, chunk.length)))
    got += chunk?.length ?? 0
  }
  t.equal(got, log.bytes)
})

t.test('when the source should wait', async (t) => {
  const log = new OutputLog()
  log.append(Buffer.alloc(256 * 1024 - 1))
  t.notOk(log.full)
  log.append(Buffer.alloc(1))
  t.ok(log.full, 'nobody has read anything')
  const fast = log.attach(0)
  const slow = log.attach(0)
  while (fast.next().chunk);
  t.ok(log.full, 'the slowest counts')
  while (slow.next().chunk);
  t.notOk(log.full)
  fast.detach()
  slow.detach()
  log.append(Buffer.alloc(256 * 1024 - 1))
  t.notOk(log.full, 'where the last reader got to counts after it left')
  log.append(Buffer.alloc(1))
  t.ok(log.full)
  const newcomer = log.attach(0)
  newcomer.detach()
  t.ok(log.full, 'one who looked from the start takes nothing back')
})

t.test('a chunk fits into a frame', async (t) => {
  const log = new OutputLog(Number.POSITIVE_INFINITY)
  log.append(bytesFrom(0, 3 * maxFrameBytes + 5))
  const cursor = log.attach(0)
  const lengths: number[] = []
  for (let next = cursor.next(); next.chunk; next = cursor.next()) lengths.push(next.chunk.length)
  t.same(lengths, [maxFrameBytes, maxFrameBytes, maxFrameBytes, 5])
  t.same(log.read(log.bytes + 10), { missedBytes: 0, chunk: undefined }, 'beyond the end there is nothing')
})
