import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { diskUsage } from '../../../lib/sandbox/limits/disk-usage.ts'

const kib = 1024

async function folder(t: Test): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'slotpool-disk-'))
  t.teardown(() => rm(made, { recursive: true }))
  return made
}

/** What a new, empty folder counts for depends on the filesystem. */
async function used(path: string): Promise<number> {
  return (await diskUsage([path])) - emptyBytes
}

let emptyBytes = 0
t.before(async () => {
  const empty = await mkdtemp(join(tmpdir(), 'slotpool-disk-'))
  emptyBytes = await diskUsage([empty])
  await rm(empty, { recursive: true })
})

t.test('files count with what they take up, at least 4 KiB each', async (t) => {
  const path = await folder(t)
  for (let number = 0; number < 100; number++) await writeFile(join(path, `empty-${number}`), '')
  t.ok((await used(path)) >= 400 * kib)
  await writeFile(join(path, 'a\nb\n99999999 c'), Buffer.alloc(512 * kib, 1))
  t.ok((await used(path)) >= 912 * kib)
  t.ok((await used(path)) < 1200 * kib)
})

t.test('a file with several names counts once; a link counts for itself, not for what it leads to', async (t) => {
  const path = await folder(t)
  await mkdir(join(path, 'below'))
  await writeFile(join(path, 'file'), Buffer.alloc(1024 * kib, 1))
  const before = await used(path)
  for (let number = 0; number < 20; number++) await link(join(path, 'file'), join(path, 'below', `same-${number}`))
  t.ok((await used(path)) < before + 100 * kib)
  await symlink('/usr', join(path, 'system'))
  t.ok((await used(path)) < before + 100 * kib)
})

t.test('it stops when it has seen enough, and what is not there takes nothing up', async (t) => {
  const path = await folder(t)
  await writeFile(join(path, 'file'), Buffer.alloc(64 * kib, 1))
  t.ok((await diskUsage([path], 10)) > 10)
  t.equal(await diskUsage([join(path, 'missing')]), 0)
})
