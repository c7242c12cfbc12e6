import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Attempt } from '../attempt.ts'
import { hiddenSleeper } from '../hidden-sleeper.ts'

/** Goes on after its time: what a command started is to end with it, however it hid, and nobody may be kept waiting by what it left. */
const hidden: [string, (wait: string) => string][] = [
  ['a process with nothing of its environment', (wait) => `env -i ${wait} & trap '' TERM;`],
  ['in a session of its own', (wait) => `setsid env -i ${wait} &`],
  ['forked twice, in a session of its own', (wait) => `( ( setsid env -i ${wait} & ) & );`],
  ['that stands still', (wait) => `setsid env -i bash -c 'kill -STOP $BASHPID; :' ${wait} &`],
]

export const attempts: Attempt[] = [
  ...hidden.map(
    ([what, start]): Attempt => ({
      name: `outlive a timeout: ${what}`,
      escape: async (scene) => {
        const sleeper = hiddenSleeper(scene)
        const said = await scene.attacker.exec(`${start(sleeper.wait)} until [ -e /nonexistent ]; do sleep 1; done`, {
          timeoutMs: 1000,
        })
        if (!said.timedOut) throw new Error('it was not cut')
        return sleeper.left()
      },
    }),
  ),
  {
    name: 'outlive a cancel',
    escape: async (scene) => {
      const sleeper = hiddenSleeper(scene)
      const controller = new AbortController()
      const hidden = `( ( setsid env -i ${sleeper.wait} & ) & ); echo begun; until [ -e /nonexistent ]; do sleep 1; done`
      const running = scene.attacker.exec(hidden, {
        signal: controller.signal,
        onStdout: () => void sleeper.started().then(() => controller.abort()),
      })
      await running.then(
        () => Promise.reject(new Error('it was not cut')),
        () => undefined,
      )
      return sleeper.left()
    },
  },
  {
    name: 'keep a caller waiting by a child that holds stdout',
    escape: async (scene) => {
      const sleeper = hiddenSleeper(scene)
      const said = await scene.attacker.exec(`${sleeper.wait} & echo done`, { timeoutMs: 20_000 })
      return said.timedOut || said.stdout !== 'done\n' ? `it ended as ${JSON.stringify(said)}` : null
    },
    // A naive reader reads until the end of the stream: when the command has ended, it has not.
    control: async () => {
      const child = spawn('bash', ['-c', 'sleep 600 & echo done'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true })
      child.stdout.resume()
      const closed = once(child, 'close')
      await once(child, 'exit')
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
      const waits = !child.stdout.readableEnded
      process.kill(-(child.pid as number), 'SIGKILL')
      await closed
      return waits ? 'it still waits' : null
    },
  },
]
