import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { SlotpoolError } from '../../lib/errors.ts'
import { Slot } from '../../lib/pool/slot.ts'
import { Terminal } from '../../lib/terminal/terminal.ts'
import { builtImage } from '../fixtures/built-image.ts'
import { dockerPool } from '../fixtures/docker-pool.ts'
import { deadAddress } from '../fixtures/fake-nomad.ts'
import { destroyLocalPool, localLeft, stateHome } from '../fixtures/local-pool.ts'
import { dockerSkip } from '../fixtures/require-service.ts'
import { scriptedShell } from '../fixtures/scripted-shell.ts'
import { testName } from '../fixtures/test-name.ts'
import { takenDown, terminalContract } from './contract.ts'

t.test('fake', (t) =>
  terminalContract(t, {
    realShell: false,
    plan: async (t, size) => {
      const backend = new FakeBackend({ slots: size.slots, script: scriptedShell() })
      t.teardown(() => backend.destroy())
      return { options: { ...size, backend }, left: async () => (await backend.list()).map((one) => one.id) }
    },
  }),
)

t.test('local', (t) =>
  terminalContract(t, {
    realShell: true,
    plan: async (t, size) => {
      await stateHome(t)
      const pool = testName()
      destroyLocalPool(t, pool)
      return { options: { ...size, env: 'local', pool }, left: () => localLeft(pool) }
    },
  }),
)

t.test('a pool that somebody else takes down', async (t) => {
  await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const options = { env: 'local', pool, slots: 1 } as const
  const terminal = new Terminal(options)
  t.teardown(() => terminal.close())
  t.match(await terminal.run('echo hi > f'), { exit_code: 0 })
  await takenDown(options)
  t.match(await terminal.run('cat f'), {
    output: '',
    exit_code: 125,
    // As the watch of the pool saw the end of its container before or not.
    error: /^lost: (SERVER_UNREACHABLE: .* Worth trying again\. |LEASE_LOST: .* Worth trying again: )/,
  })
  await terminal.cleanup()
  t.match(await terminal.run('ls'), { output: '', exit_code: 0 }, 'it is made again')
  await terminal.cleanup()
  await takenDown(options)
  t.same(await localLeft(pool), [])
})

t.test('a backend that is down', async (t) => {
  await using terminal = new Terminal({ env: 'nomad', nomad: { address: await deadAddress() }, onNotice: () => t.fail('no fallback') })
  for (const _again of [1, 2]) {
    t.match(await terminal.run('echo hello'), {
      output: '',
      exit_code: 125,
      error: /^lost: NOMAD_UNAVAILABLE: no Nomad agent answers at .*\. Worth trying again\. Start an agent/,
    })
  }
  await terminal.cleanup()
  const backend = new FakeBackend({ slots: 1, script: scriptedShell() })
  t.teardown(() => backend.destroy())
  const recovering = new Terminal({ backend })
  t.teardown(() => recovering.close())
  backend.failNextGrow(new SlotpoolError('BACKEND_UNAVAILABLE', 'got nothing'))
  t.match(await recovering.run('echo hello'), { exit_code: 125, error: /^lost: BACKEND_UNAVAILABLE: got nothing\. Worth trying again\./ })
  t.match(await recovering.run('echo hello'), { output: 'hello\n', exit_code: 0, error: null }, 'a failed opening is not kept')
})

t.test('without isolation what harms the machine itself is refused, unless it is forced', async (t) => {
  const ran: string[] = []
  const backend = new FakeBackend({
    slots: 1,
    script: ({ command }) => {
      ran.push(command)
      return {}
    },
  })
  t.teardown(() => backend.destroy())
  const terminal = new Terminal({ backend })
  t.teardown(() => terminal.close())
  t.match(await terminal.run('rm -rf /'), {
    output: '',
    exit_code: 125,
    error: /^command: COMMAND_REFUSED: the command deletes the root.*Trying again will not help/,
  })
  t.match(await terminal.run('rm -rf /', { background: true }), { exit_code: 125, error: /^command: COMMAND_REFUSED/ })
  t.same(ran, [])
  t.match(await terminal.run('rm -rf /', { force: true }), { exit_code: 0, error: null })
  t.same(ran, ['rm -rf /'])
})

t.test('docker', { skip: await dockerSkip() }, async (t) => {
  const image = await builtImage(t)
  await terminalContract(t, {
    realShell: true,
    plan: async (t, size) => {
      const { pool, env, containerIds } = await dockerPool(t, { image, ...size })
      const before = process.env.XDG_STATE_HOME
      process.env.XDG_STATE_HOME = env.XDG_STATE_HOME
      t.teardown(() => {
        if (before === undefined) delete process.env.XDG_STATE_HOME
        else process.env.XDG_STATE_HOME = before
      })
      return { options: { ...size, env: 'docker', pool, image }, left: containerIds }
    },
  })
})

t.test('a terminal that is closed gives back also the slot whose last command has no known outcome', async (t) => {
  const backend = new FakeBackend({ slots: 2 })
  t.teardown(() => backend.destroy())
  const terminal = new Terminal({ backend, slots: 2, max: 1 })
  t.equal((await terminal.run('one', { task_id: 'a' })).exit_code, 0)
  t.intercept(Slot.prototype, 'exec', {
    value: async () => {
      throw new SlotpoolError('EXECUTION_OUTCOME_UNKNOWN', 'nobody knows')
    },
  })
  t.match(await terminal.run('two', { task_id: 'a' }), { exit_code: 125 })
  t.equal(backend.usage().leased, 1)
  await terminal.close()
  t.equal(backend.usage().leased, 0)
})
