import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Briefing } from '../../lib/sandbox/jail/briefing.ts'
import { placeholder } from '../../lib/sandbox/jail/fork-server-program.ts'
import { PreparedShell } from '../../lib/sandbox/jail/prepared-shell.ts'

const roomBytes = 1024

/** A process that looks as a shell does that waits, and does nothing. */
async function waitingProcess(t: Test): Promise<ChildProcess> {
  const child = spawn('perl', ['-e', 'print "here"; $| = 1; sleep', placeholder.padEnd(roomBytes), 'bash'], {
    env: { FIRST: '1', BASH_ENV: '/'.padEnd(100, '/') },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  return child
}

/** A shell whose fork server is this test. */
function preparedShell() {
  const asked: string[] = []
  const asks = new EventEmitter()
  let told = ''
  const shell = new PreparedShell({
    number: 7,
    parent: process.pid,
    roomBytes,
    briefing: {
      give: (text: string) => {
        told += text
      },
    } as Briefing,
    ask: (what) => {
      asked.push(what)
      asks.emit(what)
    },
    onUnfit: (reason) => asked.push(reason),
  })
  return { shell, asked, asks, told: () => told }
}

t.test('a shell that came late to where it waits has its command for as long as that takes', async (t) => {
  const { pid = 0 } = await waitingProcess(t)
  const { shell, asked, asks, told } = preparedShell()
  shell.run('SLOTPOOL_EXECUTION_ID=x', 'make test')
  await once(asks, 'resume')
  shell.waits(pid)
  t.match(told(), /make test/)
  t.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /\0make test\0/)
  // Stopped by its slot after that, it is let go on soon; but however long it goes on then, it is not ended for another.
  await once(asks, 'resume')
  await once(spawn('sleep', ['1.2']), 'exit')
  t.notOk(asked.includes('run'), asked.join(' '))
})

t.test('one that never comes there is done without', async (t) => {
  const { shell, asked, asks } = preparedShell()
  // Its own timers keep no process.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  shell.run('SLOTPOOL_EXECUTION_ID=x', 'make test')
  await once(asks, 'run')
  t.same(asked, ['resume', 'run'])
})
