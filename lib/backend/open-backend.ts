import type { BackendName, Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { Backend } from './backend.ts'

/** Takes one line that a person should see, such as that another backend is used than the one asked for. */
export type Notice = (line: string) => void

/**
 * The backend of a configuration. `sandbox` is the first of nomad, docker, local that answers; `nomad` without an agent goes where
 * `TERMINAL_NOMAD_FALLBACK` says, with a notice. Engines are loaded only when they are used.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` where `TERMINAL_NOMAD_AUTOSTART` is set; `NOMAD_UNAVAILABLE` where no agent answers and there is no fallback.
 */
export async function openBackend(config: Config, notice: Notice, signal?: AbortSignal): Promise<Backend> {
  if (config.env === 'sandbox') {
    if (await nomadAnswers(config, signal)) return load('nomad', config)
    return load((await dockerAnswers(signal)) ? 'docker' : 'local', config)
  }
  if (config.nomad.autostart) {
    throw new SlotpoolError(
      'CONFIG_INVALID',
      'TERMINAL_NOMAD_AUTOSTART: got 1, expected 0: starting an agent is not there yet; start one with `nomad agent -dev -config nomad/nomad-dev.hcl`',
      { details: { variable: 'TERMINAL_NOMAD_AUTOSTART', got: '1', expected: '0' } },
    )
  }
  if (config.env !== 'nomad' || (await nomadAnswers(config, signal))) return load(config.env, config)
  const { address, fallback } = config.nomad
  if (fallback === 'none') {
    throw new SlotpoolError(
      'NOMAD_UNAVAILABLE',
      `no Nomad agent answers at ${address}; start one with \`nomad agent -dev -config nomad/nomad-dev.hcl\`, set TERMINAL_NOMAD_ADDRESS, ` +
        'or let TERMINAL_NOMAD_FALLBACK name another backend',
      { details: { address } },
    )
  }
  notice(`slotpool: no Nomad agent answers at ${address}; using ${fallback} instead (TERMINAL_NOMAD_FALLBACK=${fallback})`)
  return load(fallback, config)
}

async function load(name: BackendName, config: Config): Promise<Backend> {
  switch (name) {
    case 'local':
      return new (await import('./local/local-backend.ts')).LocalBackend(config)
    case 'docker':
      return new (await import('./docker/docker-backend.ts')).DockerBackend(config)
    case 'nomad':
      return new (await import('./nomad/nomad-backend.ts')).NomadBackend(config)
  }
}

async function nomadAnswers(config: Config, signal?: AbortSignal): Promise<boolean> {
  const reachable = await import('./nomad/reachable.ts')
  return reachable.nomadAnswers(config.nomad, signal)
}

async function dockerAnswers(signal?: AbortSignal): Promise<boolean> {
  const { DockerEngine } = await import('./docker/engine.ts')
  const engine = new DockerEngine(process.env)
  try {
    await engine.version(signal)
    return true
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'CANCELLED') throw error
    return false
  } finally {
    engine.close()
  }
}
