import { descendants } from '../../bench/server-process.ts'
import { type ProcessStat, processStat } from '../../lib/sandbox/processes.ts'
import { commandLine } from '../leftovers/processes.ts'

/**
 * The sandbox server of a container of this machine; undefined where there is none. Before it in the container is the process that reaps, which
 * names it too.
 *
 * @param root the container's first process.
 */
export async function serverBelow(root: number): Promise<ProcessStat | undefined> {
  for (const pid of [root, ...(await descendants(root))]) {
    const [file = '', ...args] = (await commandLine(pid)).split('\0')
    if (/(^|\/)node[^/]*$/.test(file) && args.some((one) => one.endsWith('/sandbox-server.js'))) return processStat(pid)
  }
  return undefined
}
