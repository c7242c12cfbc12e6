import type { Attempt } from '../attempt.ts'

/** Kills all that it may, its own init among it: the server and every other slot would go with it. */
export const attempts: Attempt[] = [
  {
    name: 'kill -9 -1',
    ruins: 'every process of its PID namespace',
    escape: async ({ attacker, neighbour, prepare }) => {
      await prepare('sleep 600 > /dev/null 2>&1 & echo $! > sleeper')
      // It takes itself away, too.
      await attacker.exec('kill -9 -1; kill -9 1; kill -9 -1', { signal: AbortSignal.timeout(5000) }).catch((error: Error) => error)
      try {
        const { stdout } = await neighbour.exec('kill -0 $(cat sleeper) && echo alive', { signal: AbortSignal.timeout(5000) })
        return stdout === 'alive\n' ? null : 'the neighbour’s process is gone'
      } catch (error) {
        return `the neighbour’s slot is gone: ${(error as Error).message}`
      }
    },
  },
  {
    name: 'stop all, and pid 1 of its own slot, before the release',
    ruins: 'every process of its PID namespace stands still',
    escape: async ({ attacker, neighbour, prepare }) => {
      await prepare('sleep 600 > /dev/null 2>&1 & echo $! > sleeper')
      const stopping = attacker
        .exec('sleep 600 & kill -STOP -1; kill -STOP 1; sleep 600', { timeoutMs: 1000 })
        .catch((error: Error) => error)
      const patience = (ms: number) => new Promise<{ stdout: string }>((resolve) => setTimeout(() => resolve({ stdout: 'no answer' }), ms))
      await Promise.race([stopping, patience(4000)])
      const look = neighbour
        .exec('grep -q "^State:.[SR]" /proc/$(cat sleeper)/status && echo runs')
        .catch((error: Error) => ({ stdout: error.message }))
      const { stdout } = await Promise.race([look, patience(5000)])
      return stdout === 'runs\n' ? null : `the neighbour: ${stdout}`
    },
  },
]
