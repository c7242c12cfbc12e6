import t from 'tap'
import { tarEntries } from '../../lib/wire/tar/tar-entries.ts'
import { type TarMember, writeTar } from '../../lib/wire/tar/tar-writer.ts'

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
