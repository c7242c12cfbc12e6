import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { groupsOf } from '../../chaos/leftovers/control-groups.ts'
import { filesIn } from '../../chaos/leftovers/files.ts'
import { mountsWith } from '../../chaos/leftovers/mounts.ts'
import { processesWith } from '../../chaos/leftovers/processes.ts'
import { LocalPlace } from '../../chaos/places/local-place.ts'
import { serverPlaces } from '../../lib/backend/local/server-places.ts'
import { writeRecord } from '../../lib/backend/local/server-record.ts'
import { here } from '../../lib/backend/process-place.ts'
import { processStat } from '../../lib/sandbox/processes.ts'
import { stateDir } from '../../lib/state-dir.ts'
import { stateHome } from '../fixtures/local-pool.ts'
import { testName } from '../fixtures/test-name.ts'

t.test('what is left of a local pool is found, whatever it is', async (t) => {
  await stateHome(t)
  const pool = testName()
  const folder = join(stateDir(), 'local', pool)
  const places = serverPlaces(folder, 0)
  const slots = process.geteuid?.() === 0 ? dirname(places.stateDir) : places.stateDir
  const place = new LocalPlace({ pool, options: { pool, slots: 1 }, slots: 1 })
  t.teardown(() => place.close())
  t.teardown(() => rm(slots, { recursive: true, force: true }))
  t.same(await place.left(), [], 'nothing, where there was nothing')

  // A record that nobody removed, of a server that is gone.
  await mkdir(places.folder, { recursive: true })
  const shape = { image: null, slots: 1, isolation: 'jail', network: 'none', limits: {}, networkAllow: [], mounts: [] }
  const version = { id: '1a2b3c4d', generation: 0, image: null }
  const dead = {
    id: 'x',
    pid: 4_000_000,
    startTicks: 1,
    place: here(),
    socketPath: places.socketPath,
    stateDir: places.stateDir,
    ready: true,
    version,
    shape,
  }
  await writeRecord(places.folder, dead as Parameters<typeof writeRecord>[1])
  t.match(await place.left(), [`file ${folder}`])

  await place.note()
  await writeFile(places.socketPath, '')
  await mkdir(slots, { recursive: true })
  const found = await place.left()
  t.ok(found.includes(`file ${places.socketPath}`), 'its socket')
  t.ok(found.includes(`file ${slots}`), 'the folder of its slots')

  // A server that lives.
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const pid = child.pid as number
  const { startTicks } = (await processStat(pid)) as { startTicks: number }
  await writeRecord(places.folder, { ...dead, id: 'y', pid, startTicks } as Parameters<typeof writeRecord>[1])
  await place.note()
  await rm(folder, { recursive: true })
  t.ok((await place.left()).includes(`sandbox server ${pid}`), 'a server without a record')
})

t.test('processes are known by a word in their environment or command line', async (t) => {
  const mark = testName()
  t.same(await processesWith([mark]), [])
  const commands: [file: string, args: string[], env: NodeJS.ProcessEnv][] = [
    ['sleep', ['600'], { ...process.env, CHAOS_RUN: mark }],
    [process.execPath, ['-e', 'setInterval(() => {}, 1_000_000)', mark], process.env],
  ]
  const children: ChildProcess[] = []
  for (const [file, args, env] of commands) {
    const child = spawn(file, args, { stdio: 'ignore', env })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child, 'spawn')
    children.push(child)
  }
  const found = await processesWith([mark])
  for (const { pid } of children) t.ok(found.some((one) => one.startsWith(`process ${pid}:`)))
})

t.test('mounts, files and control groups', async (t) => {
  t.ok(mountsWith(['/proc']).length > 0)
  t.same(mountsWith([testName()]), [])
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-left-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'a', 'b'), { recursive: true })
  t.same(await filesIn(folder), [], 'empty folders are nobody’s')
  await writeFile(join(folder, 'a', 'token'), '')
  t.same(await filesIn(folder), [`file ${join(folder, 'a', 'token')}`])
  t.same(await filesIn(join(folder, 'nowhere')), [])
  t.same(await groupsOf([{ pid: 4_000_000, startTicks: 1 }]), [])
})
