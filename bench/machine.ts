import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { DockerEngine } from '../lib/backend/docker/engine.ts'
import { outputOf } from './run-process.ts'

/** What the figures were measured on. */
export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  kernel: string
  system: string
  node: string
  slotpool: string
  /** The commit of the sources, `-dirty` when they differ from it; null outside of a clone. */
  commit: string | null
  docker: string | null
  nomad: string | null
  bubblewrap: string | null
  /** Load of the last minute when the run began: what else went on. */
  load: number
}

export async function describeMachine(packageFolder: string): Promise<Machine> {
  const [cpu] = cpus()
  const { version } = JSON.parse(readFileSync(`${packageFolder}/package.json`, 'utf8')) as { version: string }
  const orNull = (text: Promise<string>): Promise<string | null> => text.catch(() => null)
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown',
    node: process.version,
    slotpool: version,
    commit: await orNull(outputOf('git', ['-C', packageFolder, 'describe', '--always', '--dirty', '--abbrev=12'])),
    docker: await orNull(dockerVersion()),
    nomad: await orNull(outputOf('nomad', ['version']).then((text) => text.split('\n')[0] ?? text)),
    bubblewrap: await orNull(outputOf('bwrap', ['--version'])),
    load: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
  }
}

async function dockerVersion(): Promise<string> {
  const engine = new DockerEngine()
  try {
    const { version, apiVersion } = await engine.version()
    return `${version}, API ${apiVersion}`
  } finally {
    engine.close()
  }
}
