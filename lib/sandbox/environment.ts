import type { Jail } from './jail/jail.ts'
import { toolPath } from './tool-path.ts'

/** Every process of an execution inherits this variable; its value is the id of the execution. */
export const executionVariable = 'SLOTPOOL_EXECUTION_ID'

/**
 * The environment of a slot's processes, built from nothing: whatever the server was started with stays with the server. Programs that
 * would ask a question are told not to, since nobody is there to answer. User variables come last and win.
 */
export function slotEnvironment(view: Jail['view'], user: Readonly<Record<string, string>>, executionId: string): Record<string, string> {
  return {
    PATH: toolPath,
    HOME: view.home,
    USER: 'agent',
    LOGNAME: 'agent',
    SHELL: '/bin/bash',
    TMPDIR: view.tmp,
    XDG_CONFIG_HOME: `${view.home}/.config`,
    XDG_CACHE_HOME: `${view.home}/.cache`,
    XDG_DATA_HOME: `${view.home}/.local/share`,
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    DEBIAN_FRONTEND: 'noninteractive',
    GIT_TERMINAL_PROMPT: '0',
    GIT_PAGER: 'cat',
    PAGER: 'cat',
    PIP_NO_INPUT: '1',
    SLOTPOOL_WORKSPACE: view.workspace,
    ...user,
    [executionVariable]: executionId,
  }
}
