import t from 'tap'
import { type Cli, cli } from '../fixtures/cli.ts'

const leased = async ({ run }: Cli) => JSON.parse((await run(['status', '--json'])).stdout).totals.leased

t.test('an interrupted exec ends its command and gives an ephemeral slot back', async (t) => {
  const program = await cli(t)
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const running = program.start(['exec', 'echo started; sleep 8639931 & sleep 8639931'])
    t.same(await running.lines(1), ['started'])
    running.kill(signal)
    t.match(await running.over, { code, signal: null, stderr: '' }, signal)
  }
  t.equal(await leased(program), 0)
})

t.test("an interrupted exec of a task leaves the task's slot, without the command", async (t) => {
  const program = await cli(t)
  await program.run(['exec', '--task-id', 'a', 'echo hi > f; sleep 8639932 &'])
  const running = program.start(['exec', '--task-id', 'a', 'echo started; sleep 8639933'])
  t.same(await running.lines(1), ['started'])
  running.kill('SIGINT')
  t.match(await running.over, { code: 130, stderr: '' })
  const look = "cat f; pgrep -f '[s]leep 8639933' || echo gone; pgrep -f '[s]leep 8639932' > /dev/null && echo there"
  t.match(await program.run(['exec', '--task-id', 'a', look]), { code: 0, stdout: 'hi\ngone\nthere\n' })
})

t.test('an exec that is interrupted while it waits for a slot leaves none', async (t) => {
  const program = await cli(t, { TERMINAL_NOMAD_SLOTS: '1', TERMINAL_NOMAD_MAX: '1' })
  await program.run(['exec', '--task-id', 'a', 'true'])
  const waiting = program.start(['exec', '--task-id', 'b', 'echo never'])
  await waiting.connected(program.pool)
  waiting.kill('SIGINT')
  t.match(await waiting.over, { code: 130, stdout: '', stderr: '' })
  await program.run(['release', '--all'])
  t.equal(await leased(program), 0)
})
