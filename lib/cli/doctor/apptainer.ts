import { findProgram } from '../../backend/find-program.ts'
import type { Check } from './check.ts'
import { installCommand } from './install-command.ts'
import type { Machine } from './machine.ts'
import { programVersion } from './program-version.ts'

const name = 'apptainer'

/** Whether Apptainer, or Singularity as it was called and as its sister is, is on PATH: the driver `singularity` of Nomad runs it. */
export async function checkApptainer(machine: Machine, signal: AbortSignal): Promise<Check> {
  if (machine.platform !== 'linux') return { name, found: false, version: null, detail: 'runs on Linux only', mend: null }
  for (const program of ['apptainer', 'singularity']) {
    const path = findProgram(program, machine.env.PATH)
    if (path === undefined) continue
    const version = await programVersion(path, ['--version'], machine.env, signal)
    if (version !== null) return { name, found: true, version, detail: path, mend: null }
    const detail = `${path} --version does not run`
    return { name, found: true, version, detail, mend: installCommand(machine, 'apptainer') ?? null }
  }
  const detail = 'neither apptainer nor singularity is on PATH'
  return { name, found: false, version: null, detail, mend: installCommand(machine, 'apptainer') ?? null }
}
