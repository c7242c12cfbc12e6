import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { allProcesses, processStat } from '../../lib/sandbox/processes.ts'
import { terminateAll, terminateExecution } from '../../lib/sandbox/terminate.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()
const environmentEntry = 'SLOTPOOL_TEST_MARK=none'

async function started(t: Test, command: string): Promise<ChildProcess & { pid: number }> {
  const child = spawn('bash', ['-c', command], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  t.teardown(() => {
    child.kill('SIGKILL')
    child.stdout.destroy()
  })
  await once(child, 'spawn')
  return child as ChildProcess & { pid: number }
}

async function isOver(child: ChildProcess): Promise<boolean> {
  const state = (await processStat(child.pid as number))?.state ?? 'gone'
  return ['gone', 'Z', 'X'].includes(state)
}

t.test('a leader that gets into the slot between two looks is ended all the same', async (t) => {
  const leader = await started(t, sleeper.command(1))
  let looks = 0
  const candidates = async () => (++looks === 1 ? [] : [leader.pid])
  await terminateExecution({ candidates, leader: leader.pid, environmentEntry })
  t.ok(await isOver(leader))
})

t.test('children in their session, of their session, and below those', async (t) => {
  const leader = await started(t, `${sleeper.command(2)} & setsid bash -c '${sleeper.command(2)} & echo $!; wait' & wait`)
  const [said] = await once(leader.stdout as NodeJS.ReadableStream, 'data')
  const deepest = Number(String(said))
  const chain = [leader.pid, deepest, (await processStat(deepest))?.parent ?? 0]
  await terminateExecution({ candidates: allProcesses, leader: leader.pid, environmentEntry })
  for (const pid of chain) t.match((await processStat(pid))?.state ?? 'gone', /^(gone|Z|X)$/)
})

t.test('a process that is none of the execution’s is left alone', async (t) => {
  const [leader, other] = [await started(t, sleeper.command(3)), await started(t, sleeper.command(3))]
  await terminateExecution({ candidates: async () => [leader.pid, other.pid], leader: leader.pid, environmentEntry })
  t.ok(await isOver(leader))
  t.notOk(await isOver(other))
  await terminateAll(async () => [other.pid])
  t.ok(await isOver(other))
  await terminateAll(async () => [])
})
