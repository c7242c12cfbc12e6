import type { BackendName, Config } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { withDockerImage } from './docker/with-docker-image.ts'

/** Takes one line that a person should see, such as that another backend is used than the one asked for. */
export type Notice = (line: string) => void

/**
 * The backend of a configuration. `sandbox` is the first of nomad, docker, local that answers; `nomad` without an agent goes where
 * `TERMINAL_NOMAD_FALLBACK` says, with a notice; with `TERMINAL_NOMAD_AUTOSTART` one is started before, also where there would be a fallback.
 * Engines are loaded only when they are used.
 *
 * @throws {SlotpoolError} `NOMAD_UNAVAILABLE` where no agent answers, none could be started and there is no fallback; `CONFIG_INVALID` where one is
 *   to be started at an address that is not this machine's own.
 */
export async function openBackend(config: Config, notice: Notice, signal?: AbortSignal): Promise<Backend> {
  if (config.env === 'sandbox') {
    if (await nomadAnswers(config, signal)) return load('nomad', config)
    return load((await dockerAnswers(signal)) ? 'docker' : 'local', config)
  }
  if (config.env !== 'nomad' || (await nomadAnswers(config, signal))) return load(config.env, config)
  const { address, autostart, fallback } = config.nomad
  const failure = autostart ? await startAgent(config, notice, signal) : undefined
  if (autostart && !failure) return load('nomad', config)
  if (fallback === 'none') {
    throw (
      failure ??
      new SlotpoolError(
        'NOMAD_UNAVAILABLE',
        `no Nomad agent answers at ${address}; start one with \`slotpool nomad start\`, set TERMINAL_NOMAD_ADDRESS, ` +
          'or let TERMINAL_NOMAD_FALLBACK name another backend',
        { details: { address } },
      )
    )
  }
  const why = failure ? failure.message : `no Nomad agent answers at ${address}`
  notice(`slotpool: ${why}; using ${fallback} instead (TERMINAL_NOMAD_FALLBACK=${fallback})`)
  return load(fallback, config)
}

/** Returns why there is none to be had. @throws {SlotpoolError} what is no question of the agent. */
async function startAgent(config: Config, notice: Notice, signal: AbortSignal | undefined): Promise<SlotpoolError | undefined> {
  const { startDevAgent } = await import('./nomad/dev-agent.ts')
  try {
    const { address, started } = await startDevAgent(config.nomad, config.nomad.driver, { signal })
    if (started) notice(`slotpool: started a Nomad agent at ${address}; \`slotpool nomad stop\` ends it`)
    return undefined
  } catch (error) {
    if (error instanceof SlotpoolError && error.code === 'NOMAD_UNAVAILABLE') return error
    throw error
  }
}

async function load(name: BackendName, config: Config): Promise<Backend> {
  switch (name) {
    case 'local':
      return new (await import('./local/local-backend.ts')).LocalBackend(config)
    case 'docker':
      return new (await import('./docker/docker-backend.ts')).DockerBackend(withDockerImage(config))
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
