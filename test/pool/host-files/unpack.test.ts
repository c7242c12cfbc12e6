import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { leadsOutside } from '../../../lib/pool/host-files/link-target.ts'
import { unpack } from '../../../lib/pool/host-files/unpack.ts'
import { tarHeader, tarOf } from '../../fixtures/tars.ts'

const bounds = { maxBytes: 1_000_000, maxEntries: 100, skipUnsafe: false }

/** A folder to unpack into, beside which nothing may ever appear. */
async function target(t: Test): Promise<{ around: string; folder: string }> {
  const around = await mkdtemp(join(tmpdir(), 'slotpool-unpack-'))
  t.teardown(() => rm(around, { recursive: true }))
  const folder = join(around, 'folder')
  await mkdir(join(folder, 'there'), { recursive: true })
  await writeFile(join(around, 'secret'), 'secret')
  await writeFile(join(folder, 'file'), 'as it was')
  await symlink('..', join(folder, 'mine'))
  return { around, folder }
}

const first = { name: 'file', content: 'changed' }
const hostile: Record<string, Promise<Buffer>> = {
  'a way out': tarOf(first, { name: '../secret', content: 'changed' }),
  'a way out in the middle': tarOf(first, { name: 'a/../../secret', content: 'changed' }),
  'an absolute path': tarOf(first, { name: '/tmp/x', content: '' }),
  'a link out': tarOf(first, { name: 'l', type: 'symlink', linkname: '..' }),
  'an absolute link': tarOf(first, { name: 'l', type: 'symlink', linkname: '/etc/passwd' }),
  'a link out by another link': tarOf(
    first,
    { name: 'd', type: 'symlink', linkname: '.' },
    { name: 'e', type: 'symlink', linkname: 'd/../secret' },
  ),
  'a file through a link': tarOf(first, { name: 'l', type: 'symlink', linkname: 'there' }, { name: 'l/x', content: '' }),
  'a file in place of a link': tarOf(first, { name: 'l', type: 'symlink', linkname: 'file' }, { name: 'l', content: '' }),
  'a hard link out': tarOf(first, { name: 'h', type: 'link', linkname: '../secret' }),
  'a hard link to a link': tarOf(first, { name: 'l', type: 'symlink', linkname: 'file' }, { name: 'h', type: 'link', linkname: 'l' }),
  'a hard link to what was there': tarOf({ name: 'h', type: 'link', linkname: 'file' }),
  'a file below a link that was there': tarOf(first, { name: 'mine/secret', content: 'changed' }),
  'a folder over a file': tarOf({ name: 'file', type: 'directory' }),
  'a file over a folder': tarOf(first, { name: 'there', content: '' }),
  'a file below a file': tarOf(first, { name: 'file/x', content: '' }),
  'a device': tarOf(first, { name: 'd', type: 'block-device', devmajor: 8, devminor: 0 }),
  'a pipe': tarOf(first, { name: 'p', type: 'fifo' }),
  'a bomb': Promise.resolve(tarHeader('bomb', { size: 8 * 1024 ** 3 - 1 })),
  'a sparse file': Promise.resolve(Buffer.concat([tarHeader('s', { type: 'S' }), Buffer.alloc(1024)])),
  'one that is cut short': tarOf(first, { name: 'x', content: 'y' }).then((tar) => tar.subarray(0, 1700)),
}

for (const [what, tar] of Object.entries(hostile)) {
  t.test(`${what} is refused and changes nothing`, async (t) => {
    const { around, folder } = await target(t)
    await t.rejects(unpack(Readable.from([await tar]), folder, bounds), { code: what === 'a bomb' ? 'FILE_TOO_LARGE' : 'FILE_FAILED' })
    t.same((await readdir(around)).sort(), ['folder', 'secret'])
    t.same((await readdir(folder)).sort(), ['file', 'mine', 'there'])
    t.same(await readdir(join(folder, 'there')), [])
    t.equal(await readFile(join(around, 'secret'), 'utf8'), 'secret')
    t.equal(await readFile(join(folder, 'file'), 'utf8'), 'as it was')
    await t.rejects(
      unpack(Readable.from([await tar]), join(around, 'new', 'folder'), bounds).then(() => Promise.reject(new Error('taken'))),
    )
    if (!/there$|over a|was there/.test(what)) t.notOk((await readdir(around)).includes('new'), 'a folder that was made is gone')
  })
}

t.test('a tar that is cut short anywhere is refused and changes nothing, in files long and short', async (t) => {
  const { around, folder } = await target(t)
  const short = Array.from({ length: 20 }, (_, at) => ({ name: `short/${at}`, content: 's' }))
  const tar = await tarOf(first, ...short, { name: 'long', content: Buffer.alloc(100_000, 'l') }, { name: 'last', content: 'y' })
  const cuts = [0, 300, 512, 515, 1024, 5_000, 21_504, 22_016, 22_100, 60_000, 122_015, 122_100, 123_000, tar.length - 1024]
  for (const cut of cuts) {
    for (const pieceBytes of [1000, 64 * 1024]) {
      const pieces = Array.from({ length: Math.ceil(cut / pieceBytes) }, (_, at) =>
        tar.subarray(at * pieceBytes, Math.min(cut, (at + 1) * pieceBytes)),
      )
      await t.rejects(unpack(Readable.from(pieces), folder, bounds), { code: 'FILE_FAILED' }, `at ${cut}, in pieces of ${pieceBytes}`)
    }
  }
  async function* brokenOff(): AsyncGenerator<Buffer> {
    yield tar.subarray(0, 60_000)
    throw new Error('the connection is gone')
  }
  await t.rejects(unpack(brokenOff(), folder, bounds), { message: /the connection is gone/ })
  t.same((await readdir(around)).sort(), ['folder', 'secret'])
  t.same((await readdir(folder)).sort(), ['file', 'mine', 'there'])
  t.equal(await readFile(join(folder, 'file'), 'utf8'), 'as it was')
})

t.test('what is harmless is taken', async (t) => {
  const { folder } = await target(t)
  const tar = await tarOf(
    { name: 'run', mode: 0o6755, content: 'x' },
    { name: 'same', type: 'link', linkname: 'run' },
    { name: 'sub/deep', type: 'directory', mode: 0 },
    { name: 'sub/up', type: 'symlink', linkname: '../run' },
    first,
  )
  t.same(await unpack(Readable.from([tar]), folder, bounds), { entries: 5, bytes: 8, skipped: [] })
  t.equal((await lstat(join(folder, 'run'))).mode & 0o7777, 0o755 & ~process.umask(), 'without setuid')
  t.equal((await lstat(join(folder, 'same'))).ino, (await lstat(join(folder, 'run'))).ino)
  t.equal(await readFile(join(folder, 'sub', 'up'), 'utf8'), 'x')
  t.equal(await readFile(join(folder, 'file'), 'utf8'), 'changed')
})

t.test('where links lead', async (t) => {
  for (const [path, to] of [
    ['l', '..'],
    ['l', '/x'],
    ['a/l', '../..'],
    ['a/l', 'b/../../..'],
    ['l', 'd/../x'],
    ['l', './../x'],
  ] as const)
    t.equal(leadsOutside(path, to), true, `${path} -> ${to}`)
  for (const [path, to] of [
    ['l', 'x'],
    ['l', '.'],
    ['a/l', '..'],
    ['a/b/l', '../../x/y'],
    ['l', './x//y'],
  ] as const)
    t.equal(leadsOutside(path, to), false, `${path} -> ${to}`)
})
