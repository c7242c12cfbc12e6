import { join } from 'node:path'
import { findProgram } from '../../backend/find-program.ts'
import type { Config } from '../../config.ts'
import { nomadDriverOf } from '../../nomad/job-spec.ts'
import { packageRoot } from '../../package-root.ts'
import { asRoot } from './as-root.ts'
import type { Check } from './check.ts'
import { checkDocker } from './docker.ts'
import { installCommand } from './install-command.ts'
import type { Machine } from './machine.ts'
import { type AgentReport, askAgent } from './nomad-agent.ts'
import { changedJobText } from './pool-job.ts'
import { programVersion } from './program-version.ts'

/**
 * Whether a Nomad agent answers at the configured address and can run containers, and whether the program is on PATH. Either of them
 * counts as found; the version is the agent's, else the program's.
 */
export async function checkNomad(config: Config, machine: Machine, signal: AbortSignal): Promise<Check> {
  const path = findProgram('nomad', machine.env.PATH)
  const [agent, programsVersion] = await Promise.all([
    askAgent(config.nomad, nomadDriverOf(config.nomad.driver), signal),
    path === undefined ? null : programVersion(path, ['version'], machine.env, signal),
  ])
  const changed = agent.state === 'well' ? await changedJobText(config, signal) : ''
  const program =
    path === undefined ? 'no program nomad on PATH' : `program ${path}${programsVersion === null ? '' : ` ${programsVersion}`}`
  return {
    name: 'nomad',
    found: path !== undefined || agent.state === 'well' || agent.state === 'forbidden',
    version: agent.version ?? programsVersion,
    detail: `${agent.detail}; ${program}${changed}`,
    mend: await mend(agent, path, config, machine, signal),
  }
}

async function mend(
  agent: AgentReport,
  program: string | undefined,
  config: Config,
  machine: Machine,
  signal: AbortSignal,
): Promise<string | null> {
  const { address } = config.nomad
  if (agent.state === 'well') {
    if (agent.driverIsThere !== false) return null
    if (agent.ineligibleNode !== undefined) return `nomad node eligibility -enable ${agent.ineligibleNode}`
    // An agent of this machine finds its docker driver by itself once Docker is there.
    return isLoopback(address) && config.nomad.driver === 'docker' ? (await checkDocker(machine, signal)).mend : null
  }
  if (agent.state === 'forbidden') return "export NOMAD_TOKEN='…'"
  if (agent.error?.code === 'CONFIG_INVALID') return `unset ${agent.error.details.variable}`
  if (agent.error?.code === 'NOMAD_UNAVAILABLE' && !agent.error.retryable) return 'export NOMAD_CACERT=/path/to/nomad-agent-ca.pem'
  const ownAgent = isLoopback(address) && new URL(address).port === '4646'
  if (agent.state === 'other') {
    const unwell = Number(agent.error?.details.status) >= 500
    if (unwell) return ownAgent && machine.init === 'systemd' ? asRoot(machine, 'systemctl restart nomad') : null
    return 'unset TERMINAL_NOMAD_ADDRESS NOMAD_ADDR'
  }
  if (!ownAgent) return 'unset TERMINAL_NOMAD_ADDRESS NOMAD_ADDR'
  if (program === undefined) return installCommand(machine, 'nomad') ?? null
  return asRoot(machine, `nomad agent -dev -config ${quoted(join(packageRoot(), 'nomad', 'nomad-dev.hcl'))}`)
}

function isLoopback(address: string): boolean {
  return /^(localhost|127\..*|\[::1\])$/.test(new URL(address).hostname)
}

function quoted(path: string): string {
  return /^[\w/.@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
