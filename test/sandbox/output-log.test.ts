import fc from 'fast-check'
import t from 'tap'
import { type OutputCursor, OutputLog } from '../../lib/sandbox/output-log.ts'
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

t.test('few bytes keep no more memory than they are', async (t) => {
  const log = new OutputLog(retainedBytes)
  log.append(bytesFrom(0, 10))
  t.ok((log.read(0).chunk?.buffer.byteLength ?? 0) <= 2 * retainedBytes)
})

t.test('every reader gets every byte in its place, or is told how many it missed; memory stays bounded', async (t) => {
  fc.assert(
    fc.property(steps, (all: Step[]) => {
      const log = new OutputLog(retainedBytes)
      let written = 0
      const cursors: OutputCursor[] = []
      /** What each reader has been given and has not taken yet. */
      const lent = new Map<OutputCursor, Buffer>()
      for (const step of all) {
        if ('append' in step) {
          log.append(bytesFrom(written, step.append))
          written += step.append
        } else if ('attach' in step) cursors.push(log.attach(Math.min(step.attach, written)))
        else if ('detach' in step) {
          const [cursor] = cursors.splice(step.detach, 1)
          cursor?.detach()
          if (cursor) lent.delete(cursor)
        } else {
          const cursor = cursors[step.read]
          if (!cursor) continue
          const before = cursor.offset
          const { missedBytes, chunk } = cursor.next()
          const from = before + (lent.get(cursor)?.length ?? 0)
          if (missedBytes > 0) t.ok(from + missedBytes >= written - log.heldBytes, 'nothing that was held was missed')
          t.equal(cursor.offset, from + missedBytes)
          if (!chunk) t.equal(cursor.offset, written)
          lent.set(cursor, chunk ?? Buffer.alloc(0))
        }
        for (const [cursor, chunk] of lent) t.ok(chunk.equals(bytesFrom(cursor.offset, chunk.length)), 'what is lent stays as it is')
        t.equal(log.bytes, written)
        t.ok(log.heldBytes < 2 * retainedBytes)
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
    for (let next = cursor.next(); next.chunk; next = cursor.next()) {
      t.equal(next.missedBytes, 0)
      t.ok(next.chunk.equals(bytesFrom(got, next.chunk.length)))
      got += next.chunk.length
    }
  }
  t.equal(got, log.bytes)
})

t.test('a chunk is copied: the source may read into the same memory again', async (t) => {
  const log = new OutputLog()
  const chunk = Buffer.from('first')
  log.append(chunk)
  chunk.write('other')
  log.append(Buffer.alloc(0))
  log.append(chunk)
  const cursor = log.attach(0)
  t.equal(cursor.next().chunk?.toString(), 'firstother')
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
