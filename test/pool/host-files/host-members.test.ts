import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { hostMembers } from '../../../lib/pool/host-files/host-members.ts'
import { type TarMember, writeTar } from '../../../lib/wire/tar/tar-writer.ts'

t.test('a file that becomes shorter while its folder is uploaded breaks the upload off', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-members-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'file')
  for (const [bytes, left] of [
    [10_000, 0],
    [10_000, 5_000],
    [1_000_000, 300_000],
  ] as const) {
    await writeFile(file, Buffer.alloc(bytes))
    async function* members(): AsyncGenerator<TarMember> {
      for await (const one of hostMembers(folder)) {
        await truncate(file, left)
        yield one
      }
    }
    await t.rejects(buffer(writeTar(members())), { code: 'FILE_FAILED', message: /became shorter/ }, `${left} of ${bytes} bytes`)
  }
})
