import { randomBytes } from 'node:crypto'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import type { Test } from 'tap'
import type { Slot } from '../../../lib/pool/slot.ts'
import { tarEntries } from '../../../lib/wire/tar/tar-entries.ts'
import { tarHeader, tarOf } from '../../fixtures/tars.ts'

/** Whole folders: they are listed, removed, and travel as tars. */
export async function fileTreeContract(t: Test, slot: Slot): Promise<void> {
  const { files } = slot
  /** All that is in the folder of a test, each path with what it is. */
  const tree = async (path: string): Promise<Record<string, string>> =>
    Object.fromEntries((await files.list(path, { recursive: true })).map((one) => [one.path, one.type]))

  await t.test('list, stat, exists', async (t) => {
    const strange = 'a name\nof two lines ä😀'
    await files.write('listed/b.sh', 'echo', { mode: 0o755 })
    await files.write(`listed/${strange}`, 'four')
    await files.write('listed/deeper/c', '')
    t.same(await tree('listed'), {
      'listed/b.sh': 'file',
      [`listed/${strange}`]: 'file',
      'listed/deeper': 'folder',
      'listed/deeper/c': 'file',
    })
    const entries = await files.list('listed')
    t.same(
      entries.map(({ name }) => name),
      [strange, 'b.sh', 'deeper'].sort(),
    )
    t.match(
      entries.find(({ name }) => name === 'b.sh'),
      { type: 'file', bytes: 4, mode: 0o755 },
    )
    t.same(await files.stat(`${slot.workspace}/listed/b.sh`), {
      ...entries.find(({ name }) => name === 'b.sh'),
      path: `${slot.workspace}/listed/b.sh`,
    })
    t.match(await files.stat(`listed/${strange}`), { name: strange, bytes: 4, mode: 0o644 })
    t.ok(Math.abs((await files.stat('listed/b.sh')).modifiedAtMs - Date.now()) < 3_600_000)
    t.match(await files.stat('.'), { type: 'folder' })
    await files.write('listed/b.sh', 'again')
    t.equal((await files.stat('listed/b.sh')).mode, 0o755, 'an existing file keeps its mode')
    t.equal(await files.exists('listed/deeper'), true)
    t.equal(await files.exists('listed/nothing'), false)
    await t.rejects(files.stat('listed/nothing'), { code: 'FILE_NOT_FOUND' })
    await t.rejects(files.list('listed/nothing'), { code: 'FILE_NOT_FOUND' })
    await t.rejects(files.list('listed/b.sh'), { code: 'FILE_FAILED' })
    await t.rejects(files.list('listed', { maxEntries: 2 }), { code: 'FILE_TOO_LARGE' })
    t.equal((await files.list('listed', { maxEntries: 3 })).length, 3)
    await t.rejects(files.list('listed', { maxEntries: 1_000_000 }), { code: 'REQUEST_INVALID' })
    await t.rejects(files.write('listed/x', '', { mode: 0o4755 }), { code: 'REQUEST_INVALID' })
  })

  await t.test('folders, and removing', async (t) => {
    await files.makeFolder('made/one/two')
    await files.makeFolder('made/one')
    t.same(await tree('made'), { 'made/one': 'folder', 'made/one/two': 'folder' })
    await files.write('made/file', 'x')
    await t.rejects(files.makeFolder('made/file/below'), { code: 'FILE_FAILED' })
    await t.rejects(files.remove('made'), { code: 'FILE_FAILED' }, 'it is not empty')
    await files.remove('made/file')
    await files.remove('made/one/two')
    t.same(await tree('made'), { 'made/one': 'folder' })
    await files.remove('made', { recursive: true })
    t.equal(await files.exists('made'), false)
    await t.rejects(files.remove('made'), { code: 'FILE_NOT_FOUND' })
    await files.remove('made', { missingOk: true })
    for (const path of ['.', slot.workspace]) await t.rejects(files.remove(path, { recursive: true }), { code: 'FILE_FAILED' }, path)
    t.equal(await files.exists('listed/b.sh'), true)
  })

  await t.test('streams', async (t) => {
    const bytes = randomBytes(3 * 1024 * 1024 + 1)
    await files.writeStream('streamed', Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)]))
    t.ok((await files.readBytes('streamed')).equals(bytes))
    const failing = async function* () {
      yield bytes
      throw new Error('no more')
    }
    await t.rejects(files.writeStream('streamed', failing()), { code: 'FILE_FAILED', message: /no more/ })
    t.ok((await files.readBytes('streamed')).equals(bytes), 'it is as it was')
    await t.rejects(files.writeStream('streamed', Readable.from([Buffer.from('short')]), { bytes: 6 }))
    t.ok((await files.readBytes('streamed')).equals(bytes), 'it is as it was')
  })

  await t.test('a tar goes in and comes out', async (t) => {
    const long = `${'long/'.repeat(60)}name`
    const tar = await tarOf(
      { name: './sub/', type: 'directory', mode: 0o755 },
      { name: './sub/file.sh', mode: 0o4755, mtime: new Date(1_700_000_000_000), content: 'echo' },
      { name: 'sub/link', type: 'symlink', linkname: 'file.sh' },
      { name: 'sub/same', type: 'link', linkname: 'sub/file.sh' },
      { name: long, content: randomBytes(300_000) },
      { name: 'ä😀', content: '' },
    )
    await files.write('unpacked/here/sub/old', 'stays')
    await files.write('unpacked/here/sub/file.sh', 'is replaced')
    t.same(await files.uploadTar(tar, { path: 'unpacked/here' }), { entries: 6, bytes: 300_004 })
    const names = Object.keys(await tree('unpacked/here'))
    t.ok(names.includes(`unpacked/here/${long}`))
    t.notOk(names.some((one) => one.includes('.slotpool')))
    t.equal(await files.read('unpacked/here/sub/old'), 'stays')
    t.equal(await files.read('unpacked/here/sub/link'), 'echo', 'a link is followed')
    t.match(await files.stat('unpacked/here/sub/link'), { type: 'link', target: 'file.sh' })
    t.match(await files.stat('unpacked/here/sub/file.sh'), { mode: 0o755, bytes: 4, modifiedAtMs: 1_700_000_000_000 })
    t.equal(await files.read('unpacked/here/sub/same'), 'echo')
    await files.uploadTar(Readable.from([tar.subarray(0, 700), tar.subarray(700)]))
    t.equal(await files.read('sub/file.sh'), 'echo', 'by default into the workspace')
    await files.remove('unpacked/here/sub/same')
    await files.remove('sub/link')
    t.equal(await files.exists('sub/file.sh'), true, 'removing a link leaves what it leads to')

    const found: Record<string, string> = {}
    for await (const entry of tarEntries(await files.downloadTar('unpacked/here/sub'), { maxBytes: 1e6, maxEntries: 100 })) {
      found[entry.path] = entry.type === 'link' ? `-> ${entry.target}` : (await buffer(entry.content)).toString()
    }
    t.match(found, { old: 'stays', 'file.sh': 'echo', link: '-> file.sh' })
    await t.rejects(files.downloadTar('nothing'), { code: 'FILE_NOT_FOUND' })
    await t.rejects(files.downloadTar('unpacked', { maxBytes: 1000 }).then(buffer), { code: 'FILE_TOO_LARGE' })
  })

  await t.test('a tar that is refused changes nothing', async (t) => {
    await files.write('kept/file', 'as it was')
    await files.write('kept/folder/in it', '')
    // A folder in which something was staged has a new time.
    const all = async () =>
      (await files.list('.', { recursive: true })).map((one) => (one.type === 'folder' ? { ...one, modifiedAtMs: 0 } : one))
    const before = await all()
    const whole = await tarOf({ name: 'file', content: 'changed' }, { name: 'more', content: randomBytes(100_000) })
    const file = { name: 'file', content: 'changed' }
    const bad: [string, Buffer, string, { maxBytes?: number; maxEntries?: number }?][] = [
      ['cut in a file', whole.subarray(0, 60_000), 'FILE_FAILED'],
      ['cut between entries', whole.subarray(0, 1024), 'FILE_FAILED'],
      ['cut before its end', whole.subarray(0, -1024), 'FILE_FAILED'],
      ['empty', Buffer.alloc(0), 'FILE_FAILED'],
      ['no tar', Buffer.from('this is no tar'.repeat(100)), 'FILE_FAILED'],
      ['compressed', gzipSync(whole), 'FILE_FAILED'],
      ['too many bytes', whole, 'FILE_TOO_LARGE', { maxBytes: 100_006 }],
      ['too many entries', whole, 'FILE_TOO_LARGE', { maxEntries: 1 }],
      ['a bomb by its header', tarHeader('bomb', { size: 8 * 1024 ** 3 - 1 }), 'FILE_TOO_LARGE'],
      ['a sparse file', Buffer.concat([tarHeader('sparse', { type: 'S' }), Buffer.alloc(1024)]), 'FILE_FAILED'],
      ['a way out', await tarOf(file, { name: '../out', content: '' }), 'FILE_FAILED'],
      ['a way out in the middle', await tarOf(file, { name: 'a/../../out', content: '' }), 'FILE_FAILED'],
      ['an absolute path', await tarOf(file, { name: '/tmp/out', content: '' }), 'FILE_FAILED'],
      ['a path through a link', await tarOf(file, { name: 'l', type: 'symlink', linkname: '/tmp' }, { name: 'l/x' }), 'FILE_FAILED'],
      ['a hard link out', await tarOf(file, { name: 'h', type: 'link', linkname: '../../etc/passwd' }), 'FILE_FAILED'],
      ['a hard link to what is not in it', await tarOf(file, { name: 'h', type: 'link', linkname: 'etc/passwd' }), 'FILE_FAILED'],
      ['a device', await tarOf(file, { name: 'd', type: 'character-device', devmajor: 1, devminor: 5 }), 'FILE_FAILED'],
      ['a pipe', await tarOf(file, { name: 'p', type: 'fifo' }), 'FILE_FAILED'],
      ['a file over a folder', await tarOf(file, { name: 'folder', content: '' }), 'FILE_FAILED'],
      ['a folder over a file', await tarOf({ name: 'new', content: '' }, { name: 'file', type: 'directory' }), 'FILE_FAILED'],
    ]
    for (const [what, tar, code, bounds] of bad) {
      await t.rejects(files.uploadTar(tar, { path: 'kept', ...bounds }), { code }, what)
      await t.rejects(files.uploadTar(Readable.from([tar]), { path: 'kept/../kept', ...bounds }), { code }, `${what}, as a stream`)
    }
    await t.rejects(files.uploadTar(whole.subarray(0, 60_000), { path: 'is/made/on/the/way' }), { code: 'FILE_FAILED' })
    await t.rejects(files.uploadTar(whole, { path: 'kept/file' }), { code: 'FILE_FAILED' })
    t.same(await all(), before)
  })

  await t.test('between a disk and a slot', async (t) => {
    const host = await mkdtemp(join(tmpdir(), 'slotpool-host-'))
    t.teardown(() => rm(host, { recursive: true }))
    const content = randomBytes(2_000_000)
    await mkdir(join(host, 'up', 'sub'), { recursive: true })
    await writeFile(join(host, 'up', 'sub', 'run'), content, { mode: 0o755 })
    await writeFile(join(host, 'up', 'empty'), '')
    await symlink('sub/run', join(host, 'up', 'link'))
    t.same(await files.upload(join(host, 'up'), 'copied/tree'), { entries: 4, bytes: content.length })
    t.ok((await files.readBytes('copied/tree/link')).equals(content))
    await files.upload(join(host, 'up', 'sub', 'run'), 'copied/run')
    t.match(await files.stat('copied/run'), { mode: 0o755, bytes: content.length })

    await mkdir(join(host, 'down', 'sub'), { recursive: true })
    await writeFile(join(host, 'down', 'sub', 'mine'), 'stays')
    t.same(await files.download('copied/tree', join(host, 'down')), { entries: 4, bytes: content.length, skipped: [] })
    t.ok((await readFile(join(host, 'down', 'sub', 'run'))).equals(content))
    t.equal((await lstat(join(host, 'down', 'sub', 'run'))).mode & 0o777, 0o755)
    t.equal(await readlink(join(host, 'down', 'link')), 'sub/run')
    t.equal(await readFile(join(host, 'down', 'sub', 'mine'), 'utf8'), 'stays')
    t.same(await files.download('copied/run', join(host, 'down', 'new', 'folder')), { entries: 1, bytes: content.length, skipped: [] })
    t.same(await readdir(join(host, 'down', 'new', 'folder')), ['run'])

    await t.rejects(files.upload(join(host, 'nothing')), { code: 'FILE_FAILED' })
    await t.rejects(files.download('nothing', join(host, 'not-made')), { code: 'FILE_NOT_FOUND' })
    await t.rejects(files.download('copied', join(host, 'not/made'), { maxBytes: 1000 }), { code: 'FILE_TOO_LARGE' })
    await t.rejects(files.download('copied', join(host, 'not/made'), { maxEntries: 2 }), { code: 'FILE_TOO_LARGE' })
    await files.uploadTar(await tarOf({ name: 'out', type: 'symlink', linkname: '../..' }, { name: 'file', content: 'x' }), {
      path: 'leads-out',
    })
    await t.rejects(files.download('leads-out', join(host, 'not/made')), { code: 'FILE_FAILED', details: { path: 'out' } })
    t.same(await readdir(host), ['down', 'up'])
    t.same(await files.download('leads-out', join(host, 'down'), { skipUnsafe: true }), { entries: 1, bytes: 1, skipped: ['out'] })
    t.same((await readdir(join(host, 'down'))).sort(), ['empty', 'file', 'link', 'new', 'sub'])
  })
}
