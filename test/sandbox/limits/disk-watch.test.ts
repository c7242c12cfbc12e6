import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { deletedFilesBytes } from '../../../lib/sandbox/limits/deleted-files.ts'
import { DiskWatch } from '../../../lib/sandbox/limits/disk-watch.ts'
import { nextLine } from './joined.ts'

t.setTimeout(60_000)

const mib = 2 ** 20

async function folder(t: Test): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'slotpool-disk-'))
  t.teardown(() => rm(made, { recursive: true }))
  return made
}

/** Keeps the process alive while something is waited for: a watch does not. */
async function whileAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, 1000)
  return work.finally(() => clearInterval(timer))
}

/** Watches until it is full; resolves with what was used then. */
function untilFull(watch: DiskWatch): Promise<number> {
  return whileAlive(new Promise((resolve) => watch.watch(resolve)))
}

t.test('who writes more than the limit is told of, once; a neighbour is not', async (t) => {
  const [path, beside] = [await folder(t), await folder(t)]
  const watch = new DiskWatch({ folders: [path], maxBytes: 8 * mib })
  const neighbour = new DiskWatch({ folders: [beside], maxBytes: 8 * mib })
  let calls = 0
  const stop = neighbour.watch(() => calls++)
  const full = untilFull(watch)
  await writeFile(join(beside, 'file'), Buffer.alloc(mib, 1))
  for (let part = 0; part < 12; part++) await appendFile(join(path, 'file'), Buffer.alloc(mib, 1))
  t.ok((await full) > 8 * mib)
  t.ok(watch.full)
  t.ok((await watch.usedBytes()) >= 12 * mib)
  stop()
  t.ok((await neighbour.usedBytes()) < 2 * mib)
  t.notOk(neighbour.full)
  t.equal(calls, 0)
})

t.test('a flood of empty files fills it, too', async (t) => {
  const path = await folder(t)
  const watch = new DiskWatch({ folders: [path], maxBytes: 4 * mib })
  const full = untilFull(watch)
  for (let number = 0; number < 1100; number++) await writeFile(join(path, String(number)), '')
  t.ok((await full) > 4 * mib)
})

t.test('so does a file that is deleted and still open', async (t) => {
  const path = await folder(t)
  const child = spawn('bash', ['-c', 'exec 5> file; rm file; head -c 12M /dev/zero >&5; echo begun; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: path,
  })
  const watch = new DiskWatch({ folders: [path], maxBytes: 8 * mib, holders: async () => [child.pid as number] })
  const full = untilFull(watch)
  t.equal(await nextLine(child), 'begun')
  // What was written before the filesystem was first asked is found at the next change.
  await writeFile(join(path, 'other'), Buffer.alloc(mib, 1))
  t.ok((await full) > 12 * mib)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.ok((await watch.usedBytes()) < 2 * mib)
  t.notOk(watch.full)
})

t.test('in a slot that is full one can tidy up; who writes on is told of again', async (t) => {
  const path = await folder(t)
  const watch = new DiskWatch({ folders: [path], maxBytes: 4 * mib })
  await writeFile(join(path, 'file'), Buffer.alloc(5 * mib, 1))
  await watch.usedBytes()
  t.ok(watch.full)
  let used = 0
  const stop = watch.watch((bytes) => {
    used = bytes
  })
  await rm(join(path, 'file'))
  await whileAlive(watch.usedBytes())
  t.notOk(watch.full)
  stop()
  t.equal(used, 0)
  await writeFile(join(path, 'file'), Buffer.alloc(5 * mib, 1))
  await watch.usedBytes()
  const again = untilFull(watch)
  await appendFile(join(path, 'file'), Buffer.alloc(3 * mib, 1))
  t.ok((await again) >= 6 * mib)
})

t.test('a watch that was stopped tells nothing', async (t) => {
  const path = await folder(t)
  const watch = new DiskWatch({ folders: [path], maxBytes: 4 * mib })
  let calls = 0
  const stop = watch.watch(() => calls++)
  const other = untilFull(watch)
  stop()
  await writeFile(join(path, 'file'), Buffer.alloc(6 * mib, 1))
  await other
  t.equal(calls, 0)
})

t.test('files without a name are looked for no longer than that may take', async (t) => {
  const path = await folder(t)
  const file = await open(join(path, 'file'), 'w')
  t.teardown(() => file.close())
  await file.write(Buffer.alloc(mib, 1))
  await file.sync()
  await rm(join(path, 'file'))
  t.ok((await deletedFilesBytes([process.pid])) >= mib)
  t.equal(await deletedFilesBytes([process.pid], -1), 0)
})
