import { randomBytes } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Slot } from 'slotpool'
import type { Bench, Scenario } from '../bench.ts'
import { type Contestant, interleave } from '../interleave.ts'
import { dockerProgram } from '../peers/docker-program.ts'
import { connectDocker, startSandboxes } from '../peers/docker-sandboxes.ts'
import { MissingPeer } from '../peers/peer.ts'
import { openPool, systemName } from '../pool.ts'
import { outputOf } from '../run-process.ts'
import { schedule } from '../schedule.ts'

const kibibyte = 1024
const treeFiles = 200

/** What goes back and forth. */
interface Cargo {
  folder: string
  small: Buffer
  large: Buffer
  /** A folder of {@link treeFiles} files. */
  tree: string
}

/** Each resolves when the transfer is over, and fails where something else arrives than was sent. */
interface Carrier {
  name: string
  write(content: Buffer): Promise<void>
  read(): Promise<Buffer>
  upload(tree: string): Promise<void>
  download(to: string): Promise<void>
}

/** Files into a slot and out of it: single ones, and a whole tree. */
export const fileTransfer: Scenario = {
  name: 'file-transfer',
  async run(bench) {
    const cargo = await pack(bench)
    const carriers = [onDisk(cargo)]
    for (const backend of bench.backends) {
      const { pool } = await openPool(bench, bench.scope, backend)
      carriers.push(intoSlot(await pool.lease('bench'), systemName(backend)))
    }
    try {
      carriers.push(await byDockerCp(bench, cargo))
    } catch (error) {
      bench.signal.throwIfAborted()
      bench.report.skip('docker cp', `${error instanceof MissingPeer ? 'missing' : 'failed'}: ${(error as Error).message}`)
    }
    for (const [what, prepare] of Object.entries(transfers)) {
      bench.progress(`measuring: ${what}`)
      const contestants = carriers.map((carrier): Contestant => ({ name: carrier.name, once: prepare(carrier, cargo) }))
      const terms = schedule(bench, { samples: 30, budgetMs: bench.options.quick ? 1_000 : 10_000 })
      const measured = await interleave(contestants, { ...terms, warmup: 3 })
      bench.report.addMeasured(measured, { scenario: 'file-transfer', what, unit: 'ms', better: 'less' })
    }
  },
}

type Prepare = (carrier: Carrier, cargo: Cargo) => () => Promise<number>

const transfers: Record<string, Prepare> = {
  'write 1 KiB': (carrier, { small }) => clocked(() => carrier.write(small)),
  'read 1 KiB': (carrier, { small }) => readBack(carrier, small),
  'write 16 MiB': (carrier, { large }) => clocked(() => carrier.write(large)),
  'read 16 MiB': (carrier, { large }) => readBack(carrier, large),
  [`upload ${treeFiles} files of 4 KiB`]: (carrier, { tree }) => clocked(() => carrier.upload(tree)),
  [`download ${treeFiles} files of 4 KiB`]: (carrier, { folder, tree }) => {
    const to = join(folder, 'downloaded')
    return async () => {
      const elapsedMs = await clocked(() => carrier.download(to))()
      const last = String(treeFiles - 1)
      if (!(await readFile(join(to, last))).equals(await readFile(join(tree, last)))) throw new Error(`file ${last} came back changed`)
      await rm(to, { recursive: true })
      return elapsedMs
    }
  },
}

function clocked(work: () => Promise<unknown>): () => Promise<number> {
  return async () => {
    const startedAt = performance.now()
    await work()
    return performance.now() - startedAt
  }
}

function readBack(carrier: Carrier, content: Buffer): () => Promise<number> {
  let written = false
  return async () => {
    if (!written) await carrier.write(content)
    written = true
    const startedAt = performance.now()
    const got = await carrier.read()
    const elapsedMs = performance.now() - startedAt
    if (!got.equals(content)) throw new Error('what was read is not what was written')
    return elapsedMs
  }
}

async function pack(bench: Bench): Promise<Cargo> {
  const folder = await mkdtemp(join(bench.folder, 'files-'))
  const tree = join(folder, 'tree')
  await mkdir(tree)
  for (let at = 0; at < treeFiles; at++) await writeFile(join(tree, `${at}`), randomBytes(4 * kibibyte))
  return { folder, tree, small: randomBytes(kibibyte), large: randomBytes(16 * kibibyte * kibibyte) }
}

function intoSlot({ files }: Slot, name: string): Carrier {
  return {
    name,
    write: (content) => files.write('file', content),
    read: () => files.readBytes('file'),
    upload: async (tree) => {
      await files.upload(tree, 'tree')
    },
    download: async (to) => {
      await files.download('tree', to)
    },
  }
}

/** The floor: from one folder of this machine to another. */
function onDisk({ folder }: Cargo): Carrier {
  const file = join(folder, 'file')
  const place = join(folder, 'copied')
  return {
    name: 'node:fs (floor)',
    write: (content) => writeFile(file, content),
    read: () => readFile(file),
    upload: (tree) => cp(tree, place, { recursive: true }),
    download: (to) => cp(place, to, { recursive: true }),
  }
}

/** It takes files, not bytes, so its single files come from this machine's disk and go there. */
async function byDockerCp(bench: Bench, { folder }: Cargo): Promise<Carrier> {
  await dockerProgram()
  const [id] = await startSandboxes(await connectDocker(bench, bench.scope), bench, 1)
  const file = join(folder, 'docker-cp')
  return {
    name: 'docker cp',
    async write(content) {
      await writeFile(file, content)
      await outputOf('docker', ['cp', file, `${id}:/tmp/file`])
    },
    async read() {
      await outputOf('docker', ['cp', `${id}:/tmp/file`, file])
      return readFile(file)
    },
    async upload(tree) {
      await outputOf('docker', ['cp', tree, `${id}:/tmp/`])
    },
    async download(to) {
      await outputOf('docker', ['cp', `${id}:/tmp/tree`, to])
    },
  }
}
