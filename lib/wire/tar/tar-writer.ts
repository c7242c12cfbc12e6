import { type Header, type Pack, pack } from 'tar-stream'
import { drained } from '../drained.ts'
import type { TarEntry } from './tar-entries.ts'

/** What becomes an entry of a tar: paths are relative, and folders stand before what is in them. */
export type TarMember = Omit<TarEntry, 'type'> & { type: 'file' | 'folder' | 'link' | 'hardlink' }

type Sink = ReturnType<Pack['entry']>
type Done = (error?: Error | null) => void

const blockBytes = 64 * 1024
const types = { file: 'file', folder: 'directory', link: 'symlink', hardlink: 'link' } as const

/** A tar of these members, made no faster than it is read and never held as a whole. What `members` throws, breaks it off. */
export async function* writeTar(members: AsyncIterable<TarMember>): AsyncGenerator<Buffer> {
  const packing = pack()
  let failure: unknown
  const work = addAll(packing, members).catch((error) => {
    failure = error
    packing.destroy(error as Error)
  })
  try {
    yield* inBlocks(packing as AsyncIterable<Buffer>)
    await work
  } catch (error) {
    throw failure ?? error
  } finally {
    packing.destroy(null)
  }
}

/** Gathers small pieces: of a tree of small files each would be a write of its own, and wake whoever reads it. */
async function* inBlocks(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let block: Buffer[] = []
  let bytes = 0
  for await (const piece of pieces) {
    block.push(piece)
    bytes += piece.length
    if (bytes < blockBytes) continue
    yield Buffer.concat(block)
    block = []
    bytes = 0
  }
  if (bytes > 0) yield Buffer.concat(block)
}

async function addAll(packing: Pack, members: AsyncIterable<TarMember>): Promise<void> {
  for await (const one of members) {
    const header = {
      name: one.path,
      type: types[one.type],
      mode: one.mode,
      mtime: one.modified,
      ...(one.target === '' ? {} : { linkname: one.target }),
    }
    if (one.type !== 'file') {
      await settled((done) => void begin(packing, { ...header, size: 0 }, done))
      continue
    }
    await settled((done) => {
      const sink = begin(packing, { ...header, size: one.bytes }, done)
      pour(one.content, sink, packing).catch((error) => sink.destroy(error as Error))
    })
  }
  packing.finalize()
}

/** What an entry fails with is given to `done`, and to the packing. Its sink emits it as well, and an `error` that nobody hears ends the process. */
function begin(packing: Pack, header: Partial<Header> & Pick<Header, 'name'>, done: Done): Sink {
  const sink = packing.entry(header, done)
  sink.on('error', () => {})
  return sink
}

async function pour(content: AsyncIterable<Buffer>, sink: Sink, packing: Pack): Promise<void> {
  for await (const chunk of content) {
    if (packing.destroyed) return
    if (!sink.write(chunk)) await drained(sink)
  }
  sink.end(null)
}

function settled(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())))
}
