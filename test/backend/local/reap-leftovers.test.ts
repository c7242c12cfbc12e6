import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { folderLockPath, ifFolderUnlocked } from '../../../lib/backend/folder-lock.ts'
import { LocalBackend } from '../../../lib/backend/local/local-backend.ts'
import { readOwner } from '../../../lib/backend/local/owner-record.ts'
import { reapLeftovers } from '../../../lib/backend/local/reap-leftovers.ts'
import { serverPlaces, sharedStateDir, shortSocketFolder } from '../../../lib/backend/local/server-places.ts'
import { readRecord, type ServerRecord } from '../../../lib/backend/local/server-record.ts'
import { isAlive } from '../../../lib/backend/process-life.ts'
import { loadConfig, type SlotPoolOptions } from '../../../lib/config.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { wipeSlotFolders } from '../../../lib/sandbox/slot-folders.ts'
import { destroyLocalPool, killServer, localLeft, stateHome } from '../../fixtures/local-pool.ts'
import { sleepers } from '../../fixtures/sleepers.ts'
import { testName } from '../../fixtures/test-name.ts'

t.setTimeout(180_000)

const asRoot = process.geteuid?.() === 0
const sleeper = sleepers()

/** A pool in a state folder of the test's own. */
async function localPool(t: Test, options: SlotPoolOptions = {}) {
  const home = await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const all = { env: 'local', pool, slots: 1, isolation: 'none', ...options } as const
  const folder = join(home, 'slotpool', 'local', pool)
  const record = (index: number): ServerRecord => {
    const found = readRecord(join(folder, String(index)))
    if (!found) throw new Error(`no record of server ${index}`)
    return found
  }
  return { home, pool, folder, record, options: all, backend: new LocalBackend(loadConfig(all, {})) }
}

/** The folder of a pool that somebody else manages in the same state folder, and who comes to start a server of it. */
const beside = (folder: string): string => join(dirname(folder), testName())

function makeOld(...paths: string[]): void {
  for (const path of paths) utimesSync(path, 1, 1)
}

/** What was put aside is removed by a process of its own. */
async function untilNothingIsAside(...folders: string[]): Promise<void> {
  const aside = () => folders.filter(existsSync).flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith('.doomed-')))
  while (aside().length > 0) await delay(10)
}

t.test('a pool whose server was killed, and which nobody opens again', async (t) => {
  const { pool, folder, record, options, backend } = await localPool(t, asRoot ? { isolation: 'uid' } : {})
  const opened = await SlotPool.open(options)
  await opened.lease('a', { heartbeat: false }).then((slot) => slot.exec(`${sleeper.command(50)} & echo x > f`))
  await opened.close()
  const { stateDir } = record(0)
  await reapLeftovers(beside(folder))
  t.match(await backend.list(), [{ state: 'ready' }], 'while its server runs, nothing of it is touched')

  await killServer(pool, 0)
  await reapLeftovers(beside(folder))
  t.ok(existsSync(folder), 'nor for a minute after it was')
  makeOld(folder)
  await reapLeftovers(beside(folder))
  await t.rejects(promisify(execFile)('bash', ['-c', sleeper.find(50)]), { code: 1 }, 'what it left running is ended')
  await untilNothingIsAside(dirname(folder), sharedStateDir)
  t.notOk(existsSync(stateDir))
  t.same(await localLeft(pool), [])
})

t.test('it is done by whoever next starts a server', async (t) => {
  const { home, pool, folder, backend } = await localPool(t)
  await backend.grow(1)
  await killServer(pool, 0)
  makeOld(folder)
  const another = testName()
  destroyLocalPool(t, another)
  const other = new LocalBackend(loadConfig({ env: 'local', pool: another, slots: 1, isolation: 'none' }, {}))
  await other.list()
  t.ok(existsSync(folder), 'not by whoever looks')
  await other.grow(1)
  await untilNothingIsAside(dirname(folder), sharedStateDir)
  t.same(await localLeft(pool), [])
  await other.destroy()
  t.same(readdirSync(home), [], 'the state folder goes with the last pool')
})

t.test('a pool that has no server, only a token or a lock', async (t) => {
  const { folder, backend } = await localPool(t)
  await backend.token()
  const locked = beside(folder)
  mkdirSync(folderLockPath(locked), { recursive: true })
  await reapLeftovers(beside(folder))
  t.ok(existsSync(folder) && existsSync(folderLockPath(locked)))
  makeOld(folder, folderLockPath(locked))
  await reapLeftovers(beside(folder))
  t.notOk(existsSync(folder) || existsSync(folderLockPath(locked)))
})

t.test('a pool that somebody is about to start or to end', async (t) => {
  const { folder, backend } = await localPool(t)
  await backend.token()
  makeOld(folder)
  await ifFolderUnlocked(folder, async () => {
    await ifFolderUnlocked(folder, async () => void t.fail('two have the lock'))
    await reapLeftovers(beside(folder))
    makeOld(folderLockPath(folder))
    t.ok(existsSync(folder))
  })
})

t.test('sockets that nobody listens at', async (t) => {
  const folder = shortSocketFolder()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const [dead, fresh, living] = [testName(), testName(), testName()].map((name) => join(folder, `${name}.sock`)) as [string, string, string]
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(living, resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  // A process that ends without closing them leaves them.
  for (const path of [dead, fresh])
    await promisify(execFile)('perl', ['-MIO::Socket::UNIX', '-e', `IO::Socket::UNIX->new(Local => '${path}', Listen => 1)`])
  t.teardown(() => rm(fresh))
  makeOld(dead, living)
  await reapLeftovers(join(tmpdir(), testName(), 'local', 'p'))
  t.notOk(existsSync(dead))
  t.ok(existsSync(fresh), 'one may be about to listen')
  t.ok(existsSync(living))
})

t.test('folders of the machine, shared by all state folders', { skip: !asRoot && 'only root has slots there' }, async (t) => {
  t.test('a state folder that is gone, with its server and without', async (t) => {
    const { home, folder, record, backend, pool } = await localPool(t)
    await backend.grow(1)
    const lost = record(0)
    t.match(readOwner(lost.stateDir), { pid: lost.pid, poolFolder: folder })
    t.equal(statSync(join(lost.stateDir, 'owner.json')).mode & 0o777, 0o600)
    await rm(home, { recursive: true })
    const elsewhere = join(await mkdtemp(join(tmpdir(), 'slotpool-state-')), 'local', 'p')
    await reapLeftovers(elsewhere)
    t.ok(isAlive(lost) && existsSync(lost.stateDir), 'a server that runs keeps what it has')
    process.kill(lost.pid, 'SIGKILL')
    while (isAlive(lost)) await delay(1)
    await reapLeftovers(elsewhere)
    await untilNothingIsAside(sharedStateDir)
    t.same(await localLeft(pool), [])
    await rm(dirname(dirname(elsewhere)), { recursive: true })
  })

  t.test('a server that lost its pool is ended by the next in its place', async (t) => {
    const { home, record, backend } = await localPool(t)
    await backend.grow(1)
    const lost = record(0)
    await rm(home, { recursive: true })
    t.match(await backend.grow(1), [{ state: 'ready' }])
    t.notOk(isAlive(lost))
    t.not(record(0).pid, lost.pid)
  })

  t.test('what cannot be judged stays', async (t) => {
    const { folder } = await localPool(t)
    const { stateDir } = serverPlaces(beside(folder), 0)
    t.teardown(() => wipeSlotFolders(dirname(stateDir)))
    mkdirSync(stateDir, { recursive: true })
    const owner = { pid: 1, startTicks: 1, socketPath: join(stateDir, 's'), poolFolder: join(tmpdir(), testName(), 'p') }
    const here = {
      machine: readOptional('/etc/machine-id') || hostname(),
      bootId: readOptional('/proc/sys/kernel/random/boot_id'),
      pidNamespace: readlinkSync('/proc/self/ns/pid'),
    }
    const stays: Record<string, string> = {
      'no owner': '{}',
      'another machine': JSON.stringify({ ...owner, ...here, machine: 'another' }),
      'another PID namespace': JSON.stringify({ ...owner, ...here, pidNamespace: 'pid:[1]' }),
    }
    for (const [name, text] of Object.entries(stays)) {
      writeFileSync(join(stateDir, 'owner.json'), text)
      makeOld(stateDir, dirname(stateDir))
      await reapLeftovers(folder)
      t.ok(existsSync(join(stateDir, 'owner.json')), name)
    }
    writeFileSync(join(stateDir, 'owner.json'), JSON.stringify({ ...owner, ...here, bootId: 'an earlier one', pidNamespace: 'pid:[1]' }))
    await reapLeftovers(folder)
    t.notOk(existsSync(stateDir), 'after a restart of the machine nothing runs that ran before')
    await untilNothingIsAside(sharedStateDir)
  })

  t.test('a folder that its starter died over', async (t) => {
    const { folder } = await localPool(t)
    const { stateDir } = serverPlaces(beside(folder), 0)
    mkdirSync(stateDir, { recursive: true })
    await reapLeftovers(folder)
    t.ok(existsSync(stateDir))
    makeOld(stateDir)
    await reapLeftovers(folder)
    makeOld(dirname(stateDir))
    await reapLeftovers(folder)
    t.notOk(existsSync(dirname(stateDir)))
  })
})

function readOptional(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
}
