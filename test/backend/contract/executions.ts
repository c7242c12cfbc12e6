import type { Test } from 'tap'
import { sleepers } from '../../fixtures/sleepers.ts'
import type { PoolUnderTest } from './pool-under-test.ts'

const sleeper = sleepers()

/** An execution is run at most once, whoever asks for it how often. */
export async function executionContract(t: Test, { pool }: PoolUnderTest): Promise<void> {
  const slot = await pool.lease('executions')
  t.teardown(() => slot.release())

  await t.test('the same id runs once, and everybody gets its result', async (t) => {
    const once = () => slot.exec('echo ran >> runs; echo out', { executionId: 'run-1' })
    const results = [...(await Promise.all([once(), once(), once()])), await once()]
    for (const result of results) t.match(result, { stdout: 'out\n', exitCode: 0, executionId: 'run-1' })
    t.equal((await slot.exec('cat runs')).stdout, 'ran\n')
  })

  await t.test('an id that was used for something else', async (t) => {
    await slot.exec('echo one', { executionId: 'run-2' })
    await t.rejects(slot.exec('echo other', { executionId: 'run-2' }), { code: 'EXECUTION_CONFLICT' })
  })

  await t.test('an id that is none is refused before anything runs', async (t) => {
    for (const executionId of ['', 'a/b', 'a?b', 'ä']) {
      await t.rejects(slot.exec('echo bad >> runs', { executionId }), { code: 'REQUEST_INVALID' })
    }
    t.equal((await slot.exec('cat runs')).stdout, 'ran\n')
  })

  await t.test('an error that a caller throws while it takes output is the caller’s, and ends the command', async (t) => {
    const mine = new Error('of the caller')
    const onStdout = () => {
      throw mine
    }
    await t.rejects(slot.exec(`echo started; ${sleeper.command(6)}`, { onStdout }), mine)
    t.equal((await slot.exec(sleeper.find(6))).exitCode, 1)
    await t.rejects(slot.exec(`echo started; ${sleeper.command(7)}`, { onStdout: async () => onStdout() }), mine)
    t.equal((await slot.exec(sleeper.find(7))).exitCode, 1)
  })
}
