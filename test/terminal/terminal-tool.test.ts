import t from 'tap'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { cleanupTerminal, closeTerminal, terminalTool } from '../../lib/terminal/terminal-tool.ts'
import { destroyLocalPool, localLeft, stateHome } from '../fixtures/local-pool.ts'
import { testName } from '../fixtures/test-name.ts'

t.test('the tool takes its settings from the environment at its first command', async (t) => {
  await cleanupTerminal()
  await closeTerminal()
  await stateHome(t)
  const pool = testName()
  destroyLocalPool(t, pool)
  const settings: Record<string, string> = { TERMINAL_ENV: 'local', TERMINAL_POOL: pool, TERMINAL_NOMAD_SLOTS: '2', TERMINAL_TIMEOUT: '1' }
  for (const name of Object.keys(process.env)) if (name.startsWith('TERMINAL_')) delete process.env[name]
  Object.assign(process.env, settings)
  t.teardown(() => {
    for (const name of Object.keys(settings)) delete process.env[name]
  })

  t.same(await terminalTool('echo hi > f; cat f'), { output: 'hi\n', exit_code: 0, error: null })
  t.match(await terminalTool('sleep 8639951'), { output: '', exit_code: 124, error: /after 1 s/ })
  t.same(await terminalTool('ls', { task_id: 'b' }), { output: '', exit_code: 0, error: null })
  const watching = await SlotPool.attach()
  t.teardown(() => watching.close())
  t.equal((await watching.status()).totals.leased, 2)
  await cleanupTerminal()
  t.equal((await watching.status()).totals.leased, 1)
  await cleanupTerminal()
  await cleanupTerminal('nobody')
  await closeTerminal()
  t.equal((await watching.status()).totals.leased, 0)

  process.env.TERMINAL_TIMEUOT = '5'
  t.match(await terminalTool('echo hello'), { output: '', exit_code: 125, error: /^lost: CONFIG_UNKNOWN_VARIABLE: TERMINAL_TIMEUOT/ })
  delete process.env.TERMINAL_TIMEUOT
  t.match(await terminalTool('echo hello'), { output: 'hello\n', exit_code: 0 }, 'once it is mended, all is well')
  await closeTerminal()
  await watching.down()
  t.same(await localLeft(pool), [])
})
