import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import t from 'tap'
import { FrameReader, type FrameType, frameHeader, frameType, jsonFrame, maxFrameBytes } from '../../lib/wire/frames.ts'

interface Frame {
  type: FrameType
  payload: string
}

const frames = fc.array(
  fc.record({
    type: fc.constantFrom<FrameType>(...Object.values(frameType)),
    payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('hex')),
  }),
  { maxLength: 8 },
)

function encode(all: readonly Frame[]): Buffer {
  return Buffer.concat(
    all.flatMap(({ type, payload }) => {
      const bytes = Buffer.from(payload, 'hex')
      return [frameHeader(type, bytes.length), bytes]
    }),
  )
}

/** Cuts at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end))
}

function collect(chunks: readonly Buffer[]): { frames: Frame[]; atBoundary: boolean } {
  const whole: Frame[] = []
  let pieces: Buffer[] = []
  const reader = new FrameReader((type, payload, last) => {
    pieces.push(Buffer.from(payload))
    if (!last) return
    whole.push({ type, payload: Buffer.concat(pieces).toString('hex') })
    pieces = []
  })
  for (const chunk of chunks) reader.push(chunk)
  return { frames: whole, atBoundary: reader.atBoundary }
}

t.test('however a stream is cut, the frames are the same', async () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (sent, places) => {
      t.same(collect(cut(encode(sent), places)), { frames: sent, atBoundary: true })
    }),
  )
})

t.test('a stream that was cut short ends in the middle of a frame', async () => {
  fc.assert(
    fc.property(frames, fc.nat(), (sent, where) => {
      const bytes = encode(sent)
      const read = collect([bytes.subarray(0, where % (bytes.length + 1))])
      let boundary = 0
      const boundaries = [0, ...sent.map((one) => (boundary += 5 + one.payload.length / 2))]
      t.equal(read.atBoundary, boundaries.includes(where % (bytes.length + 1)))
      t.same(read.frames, sent.slice(0, read.frames.length))
    }),
  )
})

t.test('what is no frame is refused at once', async (t) => {
  const reader = () => new FrameReader(() => {})
  t.throws(() => reader().push(Buffer.from('HTTP/1.1 502 Bad Gateway')), RangeError)
  t.throws(() => reader().push(frameHeader(0 as FrameType, 1)), RangeError)
  t.throws(() => reader().push(frameHeader(7 as FrameType, 1)), RangeError)
  t.throws(() => reader().push(frameHeader(frameType.stdout, maxFrameBytes + 1)), RangeError)
  t.doesNotThrow(() => reader().push(frameHeader(frameType.stdout, maxFrameBytes)))
})

t.test('an empty payload is handed on', async (t) => {
  t.same(collect([frameHeader(frameType.stdout, 0)]), { frames: [{ type: frameType.stdout, payload: '' }], atBoundary: true })
})

t.test('a JSON frame', async (t) => {
  const [frame] = collect([jsonFrame(frameType.gap, { stream: 'stdout', bytes: 3 })]).frames
  t.equal(frame?.type, frameType.gap)
  t.same(JSON.parse(Buffer.from(frame?.payload ?? '', 'hex').toString()), { stream: 'stdout', bytes: 3 })
})
