import fc from 'fast-check'
import t from 'tap'
import { OutputCollector } from '../../lib/pool/output-collector.ts'

const text = fc.string({ unit: fc.constantFrom('a', '\n', 'ä', '€', '😀'), maxLength: 60 })

/** Pushes a text in pieces of these sizes, whatever they cut. */
function collected(whole: string, sizes: readonly number[], maxBytes: number): OutputCollector {
  const collector = new OutputCollector(maxBytes)
  const bytes = Buffer.from(whole)
  let at = 0
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    collector.push(bytes.subarray(at, at + size))
    at += size
  }
  return collector
}

t.test('what fits is whole; of what does not, the start and the end, no character cut', async (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(text, sizes, fc.integer({ min: 1, max: 80 }), (whole, pieces, maxBytes) => {
      const collector = collected(whole, pieces, maxBytes)
      const bytes = Buffer.byteLength(whole)
      const kept = collector.bytes()
      t.equal(collector.truncated, bytes > maxBytes)
      if (!collector.truncated) return t.equal(kept.toString(), whole)
      const [, head = '?', omitted, tail = '?'] = /^(.*)\n\[… (\d+) bytes left out …\]\n(.*)$/s.exec(kept.toString()) ?? []
      t.equal(Number(omitted), bytes - maxBytes)
      t.ok(whole.startsWith(head) && whole.endsWith(tail))
      t.notMatch(head + tail, /\ufffd/)
      const keptBytes = Buffer.byteLength(head + tail)
      t.ok(keptBytes <= maxBytes && keptBytes > maxBytes - 8)
    }),
  )
})

t.test('bytes that are no text are kept as they are while they fit', async (t) => {
  const collector = new OutputCollector(300)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  collector.push(bytes)
  t.ok(collector.bytes().equals(bytes))
})

t.test('output that never arrived is counted', async (t) => {
  const collector = new OutputCollector(10)
  collector.push(Buffer.from('ab'))
  collector.miss(7)
  t.equal(collector.truncated, true)
  t.match(collector.bytes().toString(), /^ab\n\[… 7 bytes left out …\]\n$/)
})

t.test('nothing', async (t) => {
  t.equal(new OutputCollector(1).bytes().length, 0)
})
