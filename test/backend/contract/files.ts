import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { fileTreeContract } from './file-trees.ts'
import type { PoolUnderTest } from './pool-under-test.ts'

/** Files go into a slot and come out of it as they are. */
export async function fileContract(t: Test, { pool }: PoolUnderTest): Promise<void> {
  const slot = await pool.lease('files')
  t.teardown(() => slot.release())
  const { files } = slot

  await t.test('what is written is read', async (t) => {
    for (const text of ['hi', '', 'ä€😀\n']) {
      await files.write('text', text)
      t.equal(await files.read('text'), text)
    }
    for (const bytes of [Buffer.from(Array.from({ length: 256 }, (_, i) => i)), randomBytes(5 * 1024 * 1024 + 1)]) {
      await files.write('new/folder/binary', bytes)
      t.ok((await files.readBytes('new/folder/binary')).equals(bytes))
    }
    await files.write('for-cat', 'hi\n')
    t.equal((await slot.exec('cat for-cat')).stdout, 'hi\n')
    t.equal(await files.read(`${slot.workspace}/for-cat`), 'hi\n', 'paths are those of the commands')
    await slot.exec('echo hi > by-command')
    t.equal(await files.read('by-command'), 'hi\n')
  })

  await t.test('what is not there, or is a folder', async (t) => {
    await t.rejects(files.read('nothing'), { code: 'FILE_NOT_FOUND', details: { path: 'nothing' } })
    await t.rejects(files.read('new'), { code: 'FILE_FAILED' })
    await t.rejects(files.write('new', 'hi'), { code: 'FILE_FAILED' })
    await t.rejects(files.write('new/folder', randomBytes(5 * 1024 * 1024)), { code: 'FILE_FAILED' }, 'however much was to be written')
    for (const path of ['', 'a\0b', '\ud800']) await t.rejects(files.read(path), { code: 'FILE_FAILED' })
    t.equal(await files.read('for-cat'), 'hi\n')
  })

  await t.test('whole folders', (t) => fileTreeContract(t, slot))
}
