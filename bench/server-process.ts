import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { SlotPool } from 'slotpool'
import { containerName } from '../lib/backend/docker/container-spec.ts'
import { DockerEngine } from '../lib/backend/docker/engine.ts'
import { readRecord } from '../lib/backend/local/server-record.ts'
import type { BackendName } from '../lib/config.ts'
import { allProcesses, processStat } from '../lib/sandbox/processes.ts'
import { stateDir } from '../lib/state-dir.ts'

/** The sandbox server of a pool's one container, and what else runs there for its slots. */
export interface ServerProcess {
  pid: number
  /** The processes of all slots and what serves them, the server left out. */
  others(): Promise<number[]>
}

/**
 * Finds the server on this machine by what its backend says of it.
 *
 * @throws {Error} when its processes cannot be seen from here.
 */
export async function serverOf(backend: BackendName, pool: SlotPool, name: string): Promise<ServerProcess> {
  const { root, mark } = await rootOf(backend, pool, name)
  const below = [root, ...(await descendants(root))]
  const commandLines = await Promise.all(below.map(async (pid) => ({ pid, words: await commandLine(pid) })))
  // Before it in a container is the process that reaps, which names it too.
  const server = commandLines.find(({ words: [file = '', ...args] }) => {
    return basename(file).startsWith('node') && args.some((one) => basename(one) === 'sandbox-server.js')
  })
  if (!server) throw new Error(`the sandbox server of pool ${name} was not found below process ${root}; it may run on another machine`)
  return {
    pid: server.pid,
    others: async () => {
      const all = new Set([...(await descendants(root)), ...(mark === undefined ? [] : await marked(mark))])
      all.delete(server.pid)
      all.delete(process.pid)
      return [...all]
    },
  }
}

/** The first process of the container; where orphans leave its tree, also the folder that they have in their command line or environment. */
async function rootOf(backend: BackendName, pool: SlotPool, name: string): Promise<{ root: number; mark?: string }> {
  if (backend === 'local') {
    const folder = join(stateDir(), 'local', name)
    const [index] = (await readdir(folder)).filter((one) => /^[0-9]+$/.test(one))
    const record = index === undefined ? undefined : await readRecord(join(folder, index))
    if (!record) throw new Error(`no record of a sandbox server in ${folder}`)
    return { root: record.pid, mark: `${record.stateDir}/` }
  }
  const engine = new DockerEngine()
  try {
    return { root: await containerPid(engine, backend, pool, name) }
  } finally {
    engine.close()
  }
}

async function containerPid(engine: DockerEngine, backend: BackendName, pool: SlotPool, name: string): Promise<number> {
  let id = containerName(name, 0)
  if (backend === 'nomad') {
    const [allocation] = (await pool.status()).containers
    const label = `com.hashicorp.nomad.alloc_id=${allocation?.id}`
    const [found] = await engine.docker.listContainers({ filters: { label: [label] } })
    if (!found) throw new Error(`no container of allocation ${allocation?.id} on this machine's Docker engine`)
    id = found.Id
  }
  return (await engine.docker.getContainer(id).inspect()).State.Pid
}

/** All processes below one, by their parents. */
export async function descendants(root: number): Promise<number[]> {
  const children = new Map<number, number[]>()
  for (const stat of await Promise.all((await allProcesses()).map(processStat))) {
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), stat.pid])
  }
  const found: number[] = []
  for (let next = children.get(root) ?? []; next.length > 0; next = next.flatMap((pid) => children.get(pid) ?? [])) found.push(...next)
  return found
}

async function marked(mark: string): Promise<number[]> {
  const pids = await allProcesses()
  const texts = await Promise.all(pids.map(async (pid) => `${await read(pid, 'cmdline')}\0${await read(pid, 'environ')}`))
  return pids.filter((_, at) => texts[at]?.includes(mark))
}

async function commandLine(pid: number): Promise<string[]> {
  return (await read(pid, 'cmdline')).split('\0')
}

/** Empty when it is gone or not ours to read. */
async function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')
}
