import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { appendFile, mkdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { LocalBackend } from '../../../lib/backend/local/local-backend.ts'
import { readRecord, type ServerRecord, writeRecord } from '../../../lib/backend/local/server-record.ts'
import { isAlive } from '../../../lib/backend/process-life.ts'
import { loadConfig, type SlotPoolOptions } from '../../../lib/config.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { destroyLocalPool, localLeft, stateHome } from '../../fixtures/local-pool.ts'
import { sleepers } from '../../fixtures/sleepers.ts'
import { sourceArgs } from '../../fixtures/source.ts'
import { testName } from '../../fixtures/test-name.ts'
import { watched } from '../../fixtures/watched.ts'

const sleeper = sleepers()

t.setTimeout(180_000)

async function localPool(t: Test, options: SlotPoolOptions = {}) {
  const home = await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const folder = join(home, 'slotpool', 'local', pool)
  const record = (index: number) => readRecord(join(folder, String(index))) as ServerRecord
  const all = { env: 'local', pool, slots: 1, max: 2, ...options } as const
  return { pool, folder, record, options: all, backend: new LocalBackend(loadConfig(all, {})) }
}

async function gone(record: ServerRecord): Promise<void> {
  while (isAlive(record)) await new Promise((resolve) => setImmediate(resolve))
}

t.test('a server that was killed is listed as dead, and replaced by the next growth', async (t) => {
  const { backend, record, options } = await localPool(t)
  const pool = await SlotPool.open(options)
  t.teardown(() => pool.close())
  const slot = await pool.lease('a')
  await slot.exec(`${sleeper.command(40)} & echo x > f`)
  const killed = record(0)
  process.kill(killed.pid, 'SIGKILL')
  await gone(killed)
  t.match(await backend.list(), [{ id: killed.id, index: 0, state: 'dead', reason: /ended/ }])
  t.equal(await backend.shape(), null)
  t.match(await pool.status(), { containers: [{ state: 'dead' }], totals: { slots: 0 } })
  await t.rejects(slot.exec('cat f'), { code: 'LEASE_LOST' }, 'known to be gone, it is not asked')
  await t.rejects(pool.release('b'), { code: 'TASK_NOT_FOUND' })

  const again = await pool.lease('a')
  t.not(again.containerId, killed.id)
  t.equal((await again.exec('cat f')).exitCode, 1, 'a fresh workspace, for a lease that was asked for anew')
  t.equal((await again.exec(sleeper.find(40))).exitCode, 1)
})

t.test('a server of another machine that shares the folder is left alone for as long as it gives signs of life', async (t) => {
  const { backend, folder, record, options } = await localPool(t, { max: 1 })
  const pool = await SlotPool.open(options)
  t.teardown(() => pool.close())
  const slot = await pool.lease('a')
  await slot.exec('echo x > f')
  const [own, server] = [record(0), join(folder, '0')]
  await writeRecord(server, { ...own, place: { ...own.place, machine: 'another', bootId: 'another' } })
  const refused = { code: 'BACKEND_UNAVAILABLE', retryable: false, message: /another machine .*XDG_STATE_HOME/ }
  await t.rejects(backend.list(), refused)
  await t.rejects(backend.grow(1), refused)
  await t.rejects(backend.destroy(), refused)
  t.match(await slot.exec('cat f'), { stdout: 'x\n' }, 'nothing of it was touched')
  const longAgo = new Date(Date.now() - 150_000)
  for (const name of ['server.json', 'alive']) await utimes(join(server, name), longAgo, longAgo)
  t.match(await backend.list(), [{ state: 'dead' }])
  await writeRecord(server, { ...own, place: { ...own.place, bootId: 'an earlier one' } })
  t.match(await backend.list(), [{ state: 'dead' }], 'its machine was started anew')
  await writeRecord(server, own)
  t.match(await backend.list(), [{ state: 'ready' }])
})

const weaker = process.geteuid?.() === 0 ? (['uid', 'none'] as const) : (['none'] as const)
for (const isolation of weaker) {
  t.test(`what a killed server left running with isolation ${isolation} is ended`, async (t) => {
    const { record, options, pool: name } = await localPool(t, { isolation })
    const kill = async () => {
      const killed = record(0)
      process.kill(killed.pid, 'SIGKILL')
      await gone(killed)
    }
    const pool = await SlotPool.open(options)
    t.teardown(() => pool.close())
    // One that hides what it was started with is known by its uid.
    const hidden = isolation === 'uid' ? 'setsid env -i ' : ''
    await pool.lease('a').then((slot) => slot.exec(`${hidden}${sleeper.command(42)} & echo started`))
    await kill()
    await pool.withSlot('b', async (slot) => t.equal((await slot.exec(sleeper.find(42))).exitCode, 1, 'before the next tenant comes'))
    await pool.lease('c').then((slot) => slot.exec(`${sleeper.command(43)} & echo started`))
    await kill()
    await pool.down()
    await t.rejects(promisify(execFile)('bash', ['-c', sleeper.find(43)]), { code: 1 }, 'and when the pool is taken down')
    t.same(await localLeft(name), [])
  })
}

t.test('a server that is stopped is not ready until it goes on, and growing beside it works', async (t) => {
  const { backend, record } = await localPool(t, { isolation: 'none' })
  await backend.grow(1)
  const { pid, id } = record(0)
  const told = watched(t, backend)
  await told.until(([one]) => one?.state === 'ready')
  process.kill(pid, 'SIGSTOP')
  t.match(await told.until(([one]) => one?.state !== 'ready'), [
    { id, state: 'starting', reason: `its process was stopped; \`kill -CONT ${pid}\` lets it go on` },
  ])
  t.match(await backend.grow(2), [
    { id, state: 'starting' },
    { index: 1, state: 'ready' },
  ])
  process.kill(pid, 'SIGCONT')
  await told.until(([one]) => one?.state === 'ready')
  process.kill(pid, 'SIGSTOP')
  await backend.remove({ id, index: 0, node: 'n', state: 'starting' })
  t.match(await backend.list(), [{ index: 1, state: 'ready' }], 'and it can be removed')
})

t.test('a state folder that is none is the fault of its variable', async (t) => {
  const home = await stateHome(t)
  const file = join(home, 'file')
  await writeFile(file, '')
  process.env.XDG_STATE_HOME = file
  const backend = new LocalBackend(loadConfig({ pool: testName() }, {}))
  const wanted = { code: 'CONFIG_INVALID', details: { variable: 'XDG_STATE_HOME', got: file } }
  await t.rejects(backend.list(), wanted)
  await t.rejects(backend.grow(1), wanted)
  await t.rejects(backend.token(), wanted)
  await t.rejects(
    backend.watch(() => {}, new AbortController().signal),
    wanted,
  )
  await t.rejects(backend.destroy(), wanted)
})

t.test('the log of a server is kept from growing by whoever looks', async (t) => {
  const { backend, folder } = await localPool(t, { isolation: 'none' })
  await backend.grow(1)
  const log = join(folder, '0', 'server.log')
  await appendFile(log, 'x\n'.repeat(1024 * 1024))
  await backend.list()
  t.ok((await stat(log)).size < 1024 * 1024)
  const told = watched(t, backend)
  await appendFile(log, 'x\n'.repeat(1024 * 1024))
  while ((await stat(log)).size > 1024 * 1024) await new Promise((resolve) => setTimeout(resolve, 20))
  await told.end()
})

t.test('one that dies in the middle of a command', async (t) => {
  const { record, options } = await localPool(t)
  const pool = await SlotPool.open(options)
  t.teardown(() => pool.close())
  const slot = await pool.lease('a')
  const running = slot.exec(`echo started; ${sleeper.command(41)}`, {
    onStdout: async () => {
      const killed = record(0)
      process.kill(killed.pid, 'SIGKILL')
      await gone(killed)
      // Whoever looks at the containers learns that it is gone, and need not wait for it to come back.
      await pool.status()
    },
  })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN' })
})

t.test('a starter that was killed leaves a server that the next one finds', async (t) => {
  const { backend, options, folder, pool } = await localPool(t)
  const starter = spawn(process.execPath, [...sourceArgs('test/fixtures/pool-process.ts'), JSON.stringify(options), '{"list":true}'], {
    stdio: 'ignore',
  })
  let record: ServerRecord | undefined
  while (!record) record = readRecord(join(folder, '0'))
  starter.kill('SIGKILL')
  await once(starter, 'exit')
  const containers = await backend.grow(1)
  t.match(containers, [{ index: 0, state: 'ready' }])
  t.equal((await backend.list()).length, 1)
  await backend.destroy()
  t.same(await localLeft(pool), [])
})

t.test('who gives up while servers start leaves none', async (t) => {
  const { backend, pool, folder } = await localPool(t)
  const controller = new AbortController()
  const growing = backend.grow(2, controller.signal)
  growing.catch(() => {})
  while (!readRecord(join(folder, '0'))) await new Promise((resolve) => setImmediate(resolve))
  controller.abort()
  await t.rejects(growing, { code: 'CANCELLED' })
  t.same(await backend.list(), [])
  await backend.destroy()
  t.same(await localLeft(pool), [])
})

t.test('a start that cannot succeed says why, and leaves nothing', async (t) => {
  const { backend, pool, folder } = await localPool(t, { isolation: 'uid', network: 'none' })
  await t.rejects(backend.grow(2), { code: 'ISOLATION_UNAVAILABLE' })
  t.same(await backend.list(), [])
  const record = await readFile(join(folder, 'token'), 'utf8')
  t.match(record, /^[\w-]{43}$/)
  await backend.destroy()
  t.same(await localLeft(pool), [])
})

t.test('a state folder whose path is longer than a socket’s may be', async (t) => {
  const home = await stateHome(t)
  process.env.XDG_STATE_HOME = join(home, 'x'.repeat(120))
  const pool = testName()
  destroyLocalPool(t, pool)
  await using opened = await SlotPool.open({ env: 'local', pool, slots: 1 })
  t.equal(await opened.withSlot('a', async (slot) => (await slot.exec('echo hello')).stdout), 'hello\n')
  await opened.down()
  t.same(await localLeft(pool), [])
})

t.test('a record that is none counts as a dead server', async (t) => {
  const { backend, folder } = await localPool(t)
  await backend.grow(1)
  await backend.destroy()
  await backend.token()
  await mkdir(join(folder, '0'), { recursive: true })
  await writeFile(join(folder, '0', 'server.json'), '{"pid": 1}')
  t.match(await backend.list(), [{ index: 0, state: 'dead' }])
  t.match(await backend.grow(1), [{ index: 0, state: 'ready' }])
})

t.test('no secret of the caller reaches the server, nor the token its arguments', async (t) => {
  process.env.SLOTPOOL_TEST_SECRET = 'very-secret'
  t.teardown(() => {
    delete process.env.SLOTPOOL_TEST_SECRET
  })
  const { backend, record } = await localPool(t)
  await backend.grow(1)
  const { pid } = record(0)
  t.notMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /very-secret/)
  t.notMatch(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), await backend.token())
})

t.test('a growth that is given up leaves the server in which somebody else has a slot by then', async (t) => {
  const { backend, folder, options } = await localPool(t, { isolation: 'none', network: 'host' })
  const giveUp = new AbortController()
  const growing = backend.grow(2, giveUp.signal)
  growing.catch(() => {})
  const seen = (index: number) => readRecord(join(folder, String(index)))
  while (!seen(1)) await turnOfTheLoop()
  // It starts slowly.
  process.kill(seen(1)?.pid as number, 'SIGSTOP')
  t.teardown(() => seen(1) && process.kill(seen(1)?.pid as number, 'SIGCONT'))
  while (!seen(0)?.ready) await turnOfTheLoop()
  const pool = await SlotPool.open(options)
  t.teardown(() => pool.close())
  const slot = await pool.lease('a')
  await slot.exec('echo work > file')
  giveUp.abort()
  await t.rejects(growing, { code: 'CANCELLED' })
  t.equal((await slot.exec('cat file')).stdout, 'work\n')
  t.equal(seen(1), undefined, 'the other is gone')
})

t.test(
  'a pool that is taken down takes the servers along whose records somebody removed',
  { skip: process.geteuid?.() === 0 ? false : 'an ordinary user’s servers keep all in the folder' },
  async (t) => {
    const { pool: name, folder, record, options } = await localPool(t, { max: 1 })
    const pool = await SlotPool.open(options)
    t.teardown(() => pool.close())
    await (await pool.lease('a')).exec(`${sleeper.command(41)} >/dev/null &`)
    const server = record(0)
    await rm(folder, { recursive: true })
    await new LocalBackend(pool.config).destroy()
    t.notOk(isAlive(server))
    t.same(await localLeft(name), [])
  },
)
