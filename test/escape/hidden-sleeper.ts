import type { Scene } from './attempt.ts'

/** A program that waits, told from all others by how long: it bears nothing else of who started it. */
export interface HiddenSleeper {
  /** The command that waits. */
  wait: string
  /** What of it runs, as the server's side sees it, or null. */
  left(): Promise<string | null>
  /** Resolves when it runs. Before that, it may still be known by what it was started with. */
  started(): Promise<void>
}

/** Where it has outlived its control, it is ended with the attempt. */
export function hiddenSleeper({ beside, mark, after }: Scene): HiddenSleeper {
  const number = Number.parseInt(mark.slice(-8), 16)
  // Which does not match itself, in the arguments of those that look.
  const pids = `grep -l '600[.]0${number}' /proc/[0-9]*/cmdline 2> /dev/null | cut -d/ -f3`
  after(() => beside.run(`kill -9 $(${pids}) 2> /dev/null; true`))
  const left = async () => {
    const said = await beside.run(`for pid in $(${pids}); do echo $pid $(head -n 3 /proc/$pid/status); done 2> /dev/null; true`)
    return said.trim() || null
  }
  return {
    wait: `sleep 600.0${number}`,
    left,
    started: async () => {
      // What leads to it, such as setsid and env, has the number among its arguments, too.
      while (!/Name: (sleep|x\))/.test((await left()) ?? '')) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}
