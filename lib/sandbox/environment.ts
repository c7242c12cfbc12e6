import type { Jail } from './jail/jail.ts'
import { toolPath } from './tool-path.ts'

/** Every process of an execution inherits this variable; its value is the id of the execution. */
export const executionVariable = 'SLOTPOOL_EXECUTION_ID'

/** What a slot's environment is made for. */
export type EnvironmentOf = Pick<Jail, 'view' | 'user' | 'imageEnvironment' | 'shell'>

/** What the caller of a command would add, and what of it may pass although it is reserved. */
export interface UserEnvironment {
  env?: Readonly<Record<string, string>> | undefined
  allowEnv: readonly string[]
}

/** Reserved whatever the locked environment has: ours, and what would lead a command to somebody's accounts. */
const reserved: readonly RegExp[] = [/^SLOTPOOL_/, /^NOMAD_/, /^AWS_/, /^SSH_AUTH_SOCK$/, /_API_KEY$/, /_API_BASE$/]

/**
 * The environment of a slot's processes, built from nothing: whatever the server was started with stays with the server. An image that the server
 * is no part of says where its programs are and in what language they speak. Programs that would ask a question are told not to, since nobody
 * is there to answer.
 */
export function lockedEnvironment({ view, user, shell = '/bin/bash', imageEnvironment = {} }: EnvironmentOf): Record<string, string> {
  return {
    PATH: imageEnvironment.PATH || toolPath,
    HOME: view.home,
    USER: user,
    LOGNAME: user,
    SHELL: shell,
    TMPDIR: view.tmp,
    XDG_CONFIG_HOME: `${view.home}/.config`,
    XDG_CACHE_HOME: `${view.home}/.cache`,
    XDG_DATA_HOME: `${view.home}/.local/share`,
    XDG_STATE_HOME: `${view.home}/.local/state`,
    ...(view.runtime === undefined ? {} : { XDG_RUNTIME_DIR: view.runtime }),
    LANG: imageEnvironment.LANG || 'C.UTF-8',
    TERM: 'dumb',
    PAGER: 'cat',
    GIT_PAGER: 'cat',
    GIT_TERMINAL_PROMPT: '0',
    GH_PROMPT_DISABLED: '1',
    DEBIAN_FRONTEND: 'noninteractive',
    APT_LISTCHANGES_FRONTEND: 'none',
    PIP_NO_INPUT: '1',
    POETRY_NO_INTERACTION: '1',
    COMPOSER_NO_INTERACTION: '1',
    COREPACK_ENABLE_DOWNLOAD_PROMPT: '0',
    SLOTPOOL_WORKSPACE: view.workspace,
  }
}

/**
 * The environment of one command: what its image sets, the locked one, then the caller's variables, which win where they may. `skipped` has the names of those
 * that may not: reserved ones, and what ends in `_API_KEY` or `_API_BASE`, unless the caller allowed it by name.
 */
export function slotEnvironment(
  slot: EnvironmentOf,
  user: UserEnvironment,
  executionId: string,
): { env: Record<string, string>; skipped: string[] } {
  const locked = lockedEnvironment(slot)
  const allowed = new Set(user.allowEnv)
  const entries = Object.entries(user.env ?? {})
  // What an execution's processes are known by is nobody's to choose.
  const passes = (name: string): boolean => name !== executionVariable && (allowed.has(name) || !isReserved(name, locked))
  return {
    env: {
      ...slot.imageEnvironment,
      ...locked,
      ...Object.fromEntries(entries.filter(([name]) => passes(name))),
      [executionVariable]: executionId,
    },
    skipped: entries.map(([name]) => name).filter((name) => !passes(name)),
  }
}

function isReserved(name: string, locked: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(locked, name) || name === 'XDG_RUNTIME_DIR' || reserved.some((pattern) => pattern.test(name))
}
