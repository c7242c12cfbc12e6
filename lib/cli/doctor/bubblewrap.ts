import { existsSync } from 'node:fs'
import { findProgram } from '../../backend/find-program.ts'
import type { Config } from '../../config.ts'
import type { Check } from './check.ts'
import { type Installable, installCommand } from './install-command.ts'
import type { Machine } from './machine.ts'
import { namespaceMend } from './namespace-mend.ts'
import { programVersion } from './program-version.ts'
import { trialIsolation } from './trial-isolation.ts'

const name = 'bubblewrap'

/** What a jail is made and entered with, and the package that has it. */
const jailPrograms: readonly { program: string; part: Installable }[] = [
  { program: 'bwrap', part: 'bubblewrap' },
  { program: 'nsenter', part: 'util-linux' },
  { program: 'setpriv', part: 'util-linux' },
  { program: 'bash', part: 'bash' },
]

/** Whether bubblewrap is installed and makes a jail here as this user, and which isolation the local backend would have. */
export async function checkBubblewrap(config: Config, machine: Machine, signal: AbortSignal): Promise<Check> {
  if (machine.platform !== 'linux') return { name, found: false, version: null, detail: 'runs on Linux only; use docker', mend: null }
  const path = findProgram('bwrap', machine.toolPath)
  const version = path === undefined ? null : await programVersion(path, ['--version'], { PATH: machine.toolPath }, signal)
  const missing = jailPrograms.filter(({ program }) => findProgram(program, machine.toolPath) === undefined)
  const missingNames = missing.map(({ program }) => program).join(', ')
  const jailFailure = missing.length > 0 ? `no ${missingNames} in ${machine.toolPath}` : await trialIsolation('jail', config.network)
  const seen = jailFailure === null ? `${path} makes a jail here ${machine.isRoot ? 'as root' : 'as an ordinary user'}` : jailFailure
  return {
    name,
    found: path !== undefined,
    version,
    detail: `${seen}; ${await localOutcome(config, jailFailure)}`,
    mend: jailFailure === null ? null : missing.length > 0 ? install(machine, missing) : await namespaceMend(machine, isContainer()),
  }
}

/** What `TERMINAL_ENV=local` would do with this configuration, as `chooseIsolation` chooses. */
async function localOutcome({ isolation, network }: Config, jailFailure: string | null): Promise<string> {
  const asked = `TERMINAL_ISOLATION=${isolation}`
  if (isolation === 'none') return `with ${asked} local slots have none`
  if (isolation !== 'uid' && jailFailure === null) return `with ${asked} local slots have isolation jail`
  if (isolation === 'jail') return `with ${asked} the local backend refuses to start`
  const uidFailure = await trialIsolation('uid', network)
  return uidFailure === null
    ? `with ${asked} local slots have isolation uid`
    : `with ${asked} the local backend refuses to start (uid: ${uidFailure})`
}

function install(machine: Machine, missing: readonly { part: Installable }[]): string | null {
  const [first, ...others] = new Set(missing.map(({ part }) => part))
  return first === undefined ? null : (installCommand(machine, first, ...others) ?? null)
}

/** Docker and Podman each leave a file in the root of what they run. */
function isContainer(): boolean {
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv')
}
