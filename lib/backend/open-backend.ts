import { type Config, loadConfig } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { type Notice, type Provider, type ProviderOptions, providerOf } from './provider.ts'
import type { Registry } from './registry/registry.ts'

/** The backend of a configuration, as {@link chooseProvider} chooses it. */
export async function openBackend(config: Config, notice: Notice, signal?: AbortSignal): Promise<Backend> {
  return (await chooseProvider(config, notice, signal)).load()
}

/**
 * Where the images of a configuration's backend are. Whether that answers makes no difference, but with `sandbox`.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` when an engine's address cannot be used.
 */
export async function openRegistry(config: Config, notice: Notice, signal?: AbortSignal): Promise<Registry> {
  const { env } = config
  return (env === 'sandbox' ? await chooseProvider(config, notice, signal) : providerOf(env, config, notice)).registry()
}

/**
 * The provider of what the options and variables name.
 *
 * @throws {SlotpoolError} `CONFIG_*`, `MOUNT_INVALID`; as {@link chooseProvider}.
 */
export async function openProvider(options: ProviderOptions = {}): Promise<Provider> {
  const { signal, onNotice = (line) => process.stderr.write(`${line}\n`), ...rest } = options
  return chooseProvider(loadConfig(rest), onNotice, signal)
}

/**
 * The provider of a configuration. `sandbox` is the first of nomad, docker, local that answers; `nomad` without an agent goes where
 * `TERMINAL_NOMAD_FALLBACK` says, with a notice; with `TERMINAL_NOMAD_AUTOSTART` one is started before, also where there would be a fallback.
 * Engines are loaded only when they are used.
 *
 * @throws {SlotpoolError} `NOMAD_UNAVAILABLE` where no agent answers, none could be started and there is no fallback; `CONFIG_INVALID` where one is
 *   to be started at an address that is not this machine's own.
 */
export async function chooseProvider(config: Config, notice: Notice, signal?: AbortSignal): Promise<Provider> {
  if (config.env === 'sandbox') {
    if (await nomadAnswers(config, signal)) return providerOf('nomad', config, notice)
    return providerOf((await dockerAnswers(signal)) ? 'docker' : 'local', config, notice)
  }
  if (config.env !== 'nomad') return providerOf(config.env, config, notice)
  if (!(await missingAgent(config, signal))) return providerOf('nomad', config, notice)
  const { address, autostart, fallback } = config.nomad
  const failure = autostart ? await startAgent(config, notice, signal) : undefined
  if (autostart && !failure) return providerOf('nomad', config, notice)
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
  return providerOf(fallback, config, notice)
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

async function nomadAnswers(config: Config, signal?: AbortSignal): Promise<boolean> {
  const reachable = await import('./nomad/reachable.ts')
  return reachable.nomadAnswers(config.nomad, signal)
}

/** An agent that has much to do may be silent for a while; that is no reason to look for a task's slot elsewhere. */
const patienceMs = 10_000

/**
 * Whether there is no agent, so that another backend may do.
 *
 * @throws {SlotpoolError} `NOMAD_UNAVAILABLE` where something is there that says nothing, or whose certificate does not fit: the pool may be there, and
 *   what is done elsewhere would be done to another one.
 */
async function missingAgent({ nomad }: Config, signal: AbortSignal | undefined): Promise<boolean> {
  const { whyNoAgent } = await import('./nomad/reachable.ts')
  const first = await whyNoAgent(nomad, signal)
  const why = first && isSilence(first) ? await whyNoAgent(nomad, signal, patienceMs) : first
  if (why?.code === 'NOMAD_UNAVAILABLE' && (isSilence(why) || !why.retryable)) throw why
  return why !== undefined
}

function isSilence({ code, details: { reason } }: SlotpoolError): boolean {
  return code === 'NOMAD_UNAVAILABLE' && (reason === 'ECONNABORTED' || reason === 'ETIMEDOUT')
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
