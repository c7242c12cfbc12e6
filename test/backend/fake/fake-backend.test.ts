import t, { type Test } from 'tap'
import { FakeBackend, type FakeOptions } from '../../../lib/backend/fake/fake-backend.ts'
import { SlotpoolError } from '../../../lib/errors.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { MovedClock } from '../../fixtures/moved-clock.ts'

async function fakePool(t: Test, options: FakeOptions = {}, max = 2) {
  const backend = new FakeBackend({ slots: 1, ...options })
  t.teardown(() => backend.destroy())
  const pool = await SlotPool.open({ backend, max })
  t.teardown(() => pool.close())
  return { backend, pool }
}

t.test('without a script every command succeeds in silence', async (t) => {
  const { pool } = await fakePool(t)
  const result = await pool.withSlot('a', (slot) => slot.exec('anything'))
  t.match(result, { stdout: '', stderr: '', exitCode: 0, timedOut: false, truncated: false })
})

t.test('a script is told what the command is, and says how it ends', async (t) => {
  const seen: unknown[] = []
  const { pool } = await fakePool(t, {
    script: ({ command, cwd, env, files, stdout, stderr }) => {
      seen.push({ command, cwd, env, files: [...files.keys()] })
      stdout('early ')
      stderr('warning')
      return { stdout: 'late', exitCode: 3 }
    },
  })
  const slot = await pool.lease('a')
  await slot.files.write('f', 'x')
  t.match(await slot.exec('do it', { cwd: 'sub', env: { A: 'b' } }), { stdout: 'early late', stderr: 'warning', exitCode: 3 })
  t.match(seen, [{ command: 'do it', cwd: 'sub', env: { A: 'b', HOME: '/home/agent' }, files: ['/workspace/f'] }])
})

t.test('a script may end a command by a signal, write as much as it likes, and fail', async (t) => {
  const large = Buffer.alloc(9 * 1024 * 1024, 'abcdefgh')
  const { pool } = await fakePool(t, {
    script: ({ command, stdout }) => {
      if (command === 'signal') return { signal: 'SIGSEGV' }
      if (command === 'large') return { stdout: large }
      if (command === 'pieces') for (let i = 0; i < large.length; i += 65_536) stdout(large.subarray(i, i + 65_536))
      if (command === 'fails') throw new SlotpoolError('JAIL_FAILED', 'as the test wants it')
      if (command === 'throws') throw new Error('as the test wants it')
      return {}
    },
  })
  const slot = await pool.lease('a')
  t.match(await slot.exec('signal'), { exitCode: null, signal: 'SIGSEGV' })
  for (const command of ['large', 'pieces']) {
    const { stdout, truncated } = await slot.exec(command, { encoding: 'buffer' })
    t.ok((stdout as unknown as Buffer).equals(large) && !truncated, command)
  }
  await t.rejects(slot.exec('fails'), { code: 'JAIL_FAILED' })
  await t.rejects(slot.exec('throws'), { code: 'INTERNAL', message: /as the test wants it/ })
})

t.test('a script learns that its command timed out', async (t) => {
  let told: AbortSignal | undefined
  const { pool } = await fakePool(t, {
    script: ({ signal, stdout }) => {
      told = signal
      stdout('partial')
      return new Promise(() => {})
    },
  })
  const slot = await pool.lease('a')
  t.match(await slot.exec('hangs', { timeoutMs: 50 }), { timedOut: true, stdout: 'partial', exitCode: null })
  t.equal(told?.aborted, true)
})

t.test('a script may run into a limit, and be silent for too long', async (t) => {
  const { pool } = await fakePool(t, {
    script: async ({ command, stdout }) => {
      if (command === 'greedy') return { limit: 'memory', signal: 'SIGKILL' }
      for (let i = 0; i < 5; i++) {
        stdout('.')
        await new Promise((resolve) => setImmediate(resolve))
      }
      return new Promise(() => {})
    },
  })
  const slot = await pool.lease('a')
  t.match(await slot.exec('greedy'), { limit: 'memory', signal: 'SIGKILL', exitCode: null, timedOut: false, timeout: null })
  t.match(await slot.exec('silent', { noOutputTimeoutMs: 50 }), { stdout: '.....', timedOut: true, timeout: 'no-output', limit: null })
})

t.test('what a scripted slot cannot have is refused before it is made', async (t) => {
  const backend = new FakeBackend()
  const mounts = [{ host: '/a', target: '/b' }]
  await t.rejects(SlotPool.open({ backend, mounts }), { code: 'MOUNT_INVALID', details: { host: '/a', target: '/b' } })
  t.same(await backend.list(), [])
})

t.test('a container that is killed takes its leases and connections with it', async (t) => {
  const { backend, pool } = await fakePool(t, {
    script: ({ stdout }) => {
      stdout('started')
      return new Promise(() => {})
    },
  })
  const slot = await pool.lease('a')
  const running = slot.exec('hangs', {
    onStdout: async () => {
      await backend.kill(slot.containerId)
      await pool.status()
    },
  })
  await t.rejects(running, { code: 'EXECUTION_OUTCOME_UNKNOWN' }, 'nobody can know how it would have ended')
  t.match(await backend.list(), [{ state: 'dead', id: slot.containerId }])
  await t.rejects(slot.exec('more'), { code: 'LEASE_LOST', message: /which is gone: it was killed by the test/ })
  t.not((await pool.lease('a')).containerId, slot.containerId)
})

t.test('a growth that fails', async (t) => {
  const { backend, pool } = await fakePool(t)
  await pool.lease('a')
  backend.failNextGrow(new SlotpoolError('NOMAD_PLACEMENT_FAILED', 'no memory'))
  await t.rejects(pool.lease('b', { waitMs: 300 }), { code: 'POOL_FULL', details: { growthFailure: { code: 'NOMAD_PLACEMENT_FAILED' } } })
  t.equal((await pool.lease('b')).slot, 0)
})

t.test('a container whose server starts anew keeps its name and address, and loses its leases', async (t) => {
  const { backend, pool } = await fakePool(t, {}, 1)
  const slot = await pool.lease('a')
  const before = await backend.list()
  await backend.restart(slot.containerId)
  t.same(await backend.list(), before)
  const again = await pool.lease('a')
  t.equal(again.containerId, slot.containerId)
  t.not(again.leaseId, slot.leaseId)
  await t.rejects(slot.exec('true'), { code: 'LEASE_LOST', message: /started anew since/ })
  await backend.restart('no container')
  await backend.kill(slot.containerId)
  await backend.restart(slot.containerId)
  t.match(await backend.list(), [{ state: 'dead' }], 'a dead one stays dead')
})

t.test('a container takes as long to start as is wanted, and is listed meanwhile', async (t) => {
  const clock = new MovedClock()
  const backend = new FakeBackend({ slots: 2, startMs: 5_000, clock })
  t.teardown(() => backend.destroy())
  let grown = false
  const growing = backend.grow(2).then((all) => {
    grown = true
    return all
  })
  while ((await backend.list()).length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.match(await backend.list(), [{ index: 0, state: 'starting' }, { state: 'starting' }])
  t.same(backend.usage(), { containers: 2, starting: 2, slots: 0, leased: 0, outOfReach: 0 })
  clock.move(4_999)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(grown, false)
  clock.move(1)
  t.match(await growing, [{ index: 0, state: 'ready' }, { state: 'ready' }])
  t.same(backend.usage(), { containers: 2, starting: 0, slots: 4, leased: 0, outOfReach: 0 })

  const abort = new AbortController()
  const another = backend.grow(3, abort.signal)
  while ((await backend.list()).length < 3) await new Promise((resolve) => setImmediate(resolve))
  abort.abort()
  await t.rejects(another, { code: 'CANCELLED' })
  t.match(await backend.list(), [{ index: 0 }, { index: 1 }], 'one that was given up is gone')
})

t.test('the free slots of a container that is paused are out of reach', async (t) => {
  const { pool, backend } = await fakePool(t, { slots: 3 })
  await pool.lease('a')
  const [id = ''] = backend.ids()
  backend.pause(id)
  t.match(backend.usage(), { slots: 3, leased: 1, outOfReach: 2 })
  backend.resume(id)
  t.match(backend.usage(), { slots: 3, leased: 1, outOfReach: 0 })
})

t.test('the time of a command is that of the clock', async (t) => {
  const clock = new MovedClock()
  let begun = (): void => {}
  const started = new Promise<void>((resolve) => {
    begun = resolve
  })
  const { pool, backend } = await fakePool(t, {
    clock,
    script: () => {
      begun()
      return new Promise(() => {})
    },
  })
  const running = (await pool.lease('a')).exec('hangs', { timeoutMs: 3_600_000 })
  await started
  t.same(backend.usage(), { containers: 1, starting: 0, slots: 1, leased: 1, outOfReach: 0 })
  clock.move(3_600_000)
  t.match(await running, { timedOut: true })
})
