import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import t from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import { tarEntries } from '../../lib/wire/tar/tar-entries.ts'
import { type TarMember, writeTar } from '../../lib/wire/tar/tar-writer.ts'
import { tarHeader, tarOf } from '../fixtures/tars.ts'

const modified = new Date(0)

async function* members(count: number, bytes: number): AsyncGenerator<TarMember> {
  async function* content(at: number): AsyncGenerator<Buffer> {
    yield Buffer.alloc(bytes, at)
  }
  for (let at = 0; at < count; at++) yield { path: `${at}`, type: 'file', bytes, mode: 0o644, modified, target: '', content: content(at) }
}

async function* inPieces(whole: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
}

t.test('many small files go out in few blocks', async (t) => {
  const blocks: Buffer[] = []
  for await (const block of writeTar(members(200, 4096))) blocks.push(block)
  t.ok(blocks.slice(0, -1).every((block) => block.length >= 64 * 1024))
  let at = 0
  for await (const entry of tarEntries(inPieces(Buffer.concat(blocks), 64 * 1024), { maxBytes: 1024 * 1024, maxEntries: 200 })) {
    t.equal(entry.path, `${at}`)
    const content: Buffer[] = []
    for await (const chunk of entry.content) content.push(chunk)
    t.ok(Buffer.concat(content).equals(Buffer.alloc(4096, at)))
    at++
  }
  t.equal(at, 200)
})

t.test('however often the reader of a tar is waited for, nobody is left listening', async (t) => {
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  t.teardown(() => process.off('warning', note))
  const blocks: Buffer[] = []
  for await (const block of writeTar(members(3, 256 * 1024))) blocks.push(block)
  for await (const entry of tarEntries(inPieces(Buffer.concat(blocks), 16 * 1024), { maxBytes: 1024 * 1024, maxEntries: 10 })) {
    for await (const chunk of entry.content) {
      t.ok(chunk.length > 0)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  // Warnings come a turn later.
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, [])
})

/** What a tar holds, written anew as it is read, as an upload does. */
async function writtenAnew(tar: Buffer, pieceBytes: number): Promise<Buffer> {
  async function* entries(): AsyncGenerator<TarMember> {
    for await (const { type, ...entry } of tarEntries(inPieces(tar, pieceBytes), { maxBytes: 1024 * 1024, maxEntries: 10 })) {
      if (type === 'other') throw new Error(`got ${entry.path}, expected no device`)
      yield { ...entry, type }
    }
  }
  return buffer(writeTar(entries()))
}

t.test('a tar that is cut short is refused wherever that is, and breaks off what is written from it', async (t) => {
  const whole = await tarOf(
    { name: 'folder', type: 'directory' },
    { name: 'folder/file', content: Buffer.alloc(100_000, 'f') },
    { name: 'folder/link', type: 'symlink', linkname: 'file' },
    { name: 'x'.repeat(300), content: 'y' },
  )
  t.ok((await writtenAnew(whole, 4096)).length > 100_000)
  // In each header, behind it, in the file that has the most bytes, in its padding, and before the zeros of the end.
  const cuts = [0, 100, 512, 700, 1024, 1025, 5_000, 16_384, 40_000, 60_000, 101_023, 101_024, 101_100]
  for (let at = 101_376; at <= whole.length - 1024; at += 256) cuts.push(at)
  for (const cut of cuts) {
    for (const pieceBytes of [512, 4096, 64 * 1024]) {
      await t.rejects(writtenAnew(whole.subarray(0, cut), pieceBytes), { code: 'FILE_FAILED' }, `at ${cut}, in pieces of ${pieceBytes}`)
    }
  }
})

t.test('a tar with bytes that are not its own is refused or read, and does no more', async (t) => {
  const whole = await tarOf(
    { name: 'folder', type: 'directory' },
    { name: 'folder/file', content: Buffer.alloc(20_000, 'f') },
    { name: 'x'.repeat(300), content: 'y' },
    { name: 'folder/link', type: 'symlink', linkname: 'file' },
  )
  const harm = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 20 })
  const property = fc.asyncProperty(harm, fc.nat(whole.length), async (changes, cut) => {
    const tar = Buffer.from(whole.subarray(0, cut))
    for (const [at, byte] of changes) if (at < cut) tar[at] = byte
    await writtenAnew(tar, 4096).catch((error) => {
      if (!(error instanceof SlotpoolError)) throw error
    })
  })
  await t.resolves(fc.assert(property, { numRuns: 300 }))
})

t.test('a file that has not the bytes it announced breaks off the tar that it goes into', async (t) => {
  async function* file(announced: number, pieces: Buffer[], failure?: Error): AsyncGenerator<TarMember> {
    async function* content(): AsyncGenerator<Buffer> {
      yield* pieces
      if (failure) throw failure
    }
    yield { path: 'file', type: 'file', bytes: announced, mode: 0o644, modified, target: '', content: content() }
  }
  const few = [Buffer.alloc(1000)]
  const many = Array.from({ length: 10 }, () => Buffer.alloc(64 * 1024))
  for (const [what, pieces] of Object.entries({ none: [], few, many })) {
    const bytes = Buffer.concat(pieces).length
    await t.rejects(buffer(writeTar(file(bytes + 1, pieces))), { message: 'Size mismatch' }, `${what}, and one too few`)
    await t.rejects(
      buffer(writeTar(file(bytes + 1, pieces, new Error('it went away')))),
      { message: 'it went away' },
      `${what}, then a failure`,
    )
  }
  await t.rejects(buffer(writeTar(file(999, few))), { message: 'Size mismatch' }, 'one too many')
})

t.test('a tar that is not read to its end lets go of what it is made from', async (t) => {
  let closed = false
  async function* endless(): AsyncGenerator<TarMember> {
    try {
      yield* members(1000, 256 * 1024)
    } finally {
      closed = true
    }
  }
  for await (const block of writeTar(endless())) if (block.length > 0) break
  // The member in the middle is told a turn later.
  for (let turns = 0; turns < 100 && !closed; turns++) await new Promise((resolve) => setImmediate(resolve))
  t.ok(closed)
})

t.test('headers that name no entry are bounded, one by one and in a row', async (t) => {
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
  const long = (type: string, content: string): Buffer =>
    Buffer.concat([tarHeader('long', { size: Buffer.byteLength(content), type }), padded(Buffer.from(content))])
  const record = (key: string, value: string): string => {
    const rest = ` ${key}=${value}\n`
    let length = rest.length + 1
    while (String(length).length + rest.length !== length) length++
    return `${length}${rest}`
  }
  const file = Buffer.concat([tarHeader('f', { size: 4 }), padded(Buffer.from('text'))])
  const end = Buffer.alloc(1024)
  const read = async (...parts: Buffer[]): Promise<string[]> => {
    const found: string[] = []
    const bounds = { maxBytes: 2 ** 20, maxEntries: 10 }
    // In pieces that cut headers.
    const whole = Buffer.concat([...parts, end])
    const pieces = Array.from({ length: Math.ceil(whole.length / 700) }, (_, at) => whole.subarray(at * 700, (at + 1) * 700))
    for await (const { path, content } of tarEntries(Readable.from(pieces), bounds)) {
      const chunks: Buffer[] = []
      for await (const chunk of content) chunks.push(chunk)
      found.push(`${path}: ${Buffer.concat(chunks)}`)
    }
    return found
  }
  const x = long('x', record('mtime', '1'))
  t.same(await read(long('g', record('comment', 'c'.repeat(3_000))), x, file, x, file), ['f: text', 'f: text'])
  const named = long('x', record('path', `${'d/'.repeat(1_900)}f`))
  t.same(await read(long('L', `${'n'.repeat(300)}\0`), long('K', 'k\0'), file, named, file), [
    `${'n'.repeat(300)}: text`,
    `${'d/'.repeat(1_900)}f: text`,
  ])
  const sized = Buffer.concat([long('x', record('size', '4')), tarHeader('sized'), padded(Buffer.from('text'))])
  t.same(await read(sized, file), ['sized: text', 'f: text'], 'the length that a header before it says')
  for (const bad of [
    [long('g', record('a', 'b'.repeat(5_000))), file],
    [...Array.from({ length: 6 }, () => x), file],
    [long('x', record('a', 'b'.repeat(70_000))), file],
    [tarHeader('none', { size: 2 ** 32, type: 'L' }), file],
  ]) {
    await t.rejects(read(...bad), { code: 'FILE_FAILED', message: /long header/ })
  }
})
