import { existsSync, readFileSync } from 'node:fs'
import { delimiter } from 'node:path'
import { findProgram } from '../../backend/find-program.ts'
import { toolPath } from '../../sandbox/tool-path.ts'
import { type OsRelease, parseOsRelease } from './os-release.ts'

/** What the checks, and the commands they advise, depend on: of this machine, unless a caller gives something else. */
export interface Machine {
  platform: NodeJS.Platform
  /** Node's name of the processor, such as `x64`. */
  arch: string
  /** The caller's environment: `PATH`, and what names the Docker engine. */
  env: NodeJS.ProcessEnv
  /** Where the sandbox server looks for bubblewrap and the rest, whatever the caller's `PATH` is. */
  toolPath: string
  osRelease: OsRelease
  isRoot: boolean
  /** What starts services here; null in most containers. */
  init: 'systemd' | 'openrc' | null
}

/** The facts of the machine and process that this runs on. */
export function thisMachine(env: NodeJS.ProcessEnv = process.env): Machine {
  return {
    platform: process.platform,
    arch: process.arch,
    env,
    toolPath,
    osRelease: parseOsRelease(readOsRelease()),
    isRoot: process.geteuid?.() === 0,
    // A folder that only a running init makes: the programs may be installed where nothing runs them.
    init: existsSync('/run/systemd/system') ? 'systemd' : existsSync('/run/openrc/softlevel') ? 'openrc' : null,
  }
}

/** A program of an administrator. Ordinary users often lack the sbin folders in PATH, and that is where those lie. */
export function findAdminProgram(name: string, { env, toolPath }: Machine): string | undefined {
  return findProgram(name, `${env.PATH ?? ''}${delimiter}${toolPath}`)
}

function readOsRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      // The next one; without any, no package manager is known.
    }
  }
  return ''
}
