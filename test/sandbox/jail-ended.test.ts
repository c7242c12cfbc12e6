import { readFile } from 'node:fs/promises'
import t from 'tap'
import { allProcesses, pidNamespace } from '../../lib/sandbox/processes.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

const read = (pid: number, name: string) => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')

/** The first process of the jail in which a command runs that has `text` in its command line. */
async function firstProcess(text: string): Promise<number> {
  // It says that it has started before it becomes the program that is looked for.
  for (;;) {
    const pids = await allProcesses()
    for (const pid of pids) {
      if (!(await read(pid, 'cmdline')).startsWith(text)) continue
      const namespace = await pidNamespace(pid)
      for (const one of pids) {
        if ((await pidNamespace(one)) === namespace && /^NSpid:.*\s1$/m.test(await read(one, 'status'))) return one
      }
    }
  }
}

t.test('a jail that ends by itself is no cancel of the commands in it', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', slots: 1 })
  for (let round = 0; round < 3; round++) {
    const { leaseId } = await lease(`a-${round}`)
    let killing: Promise<void> | undefined
    const onStdout = () => {
      killing = firstProcess(sleeper.command(1).replaceAll(' ', '\0')).then((pid) => void process.kill(pid, 'SIGKILL'))
    }
    await t.rejects(ran(client, leaseId, `echo started; exec ${sleeper.command(1)}`, { onStdout }), { code: 'JAIL_FAILED' })
    await killing
  }
})
