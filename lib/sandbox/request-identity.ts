import { createHash } from 'node:crypto'
import type { CheckedExecutionRequest } from '../wire/execution.ts'

/** A longer request is known by its digest. */
const longestKept = 1024

/** What is kept of a request to compare a repeated one with. */
export type RequestMark = CheckedExecutionRequest | string

/** What to keep of a request: a short one as it is, since most are never asked for again. */
export function markOf(request: CheckedExecutionRequest): RequestMark {
  const { command, env = {}, allowEnv } = request
  if (command.length > longestKept || allowEnv.length > 0) return digestOf(request)
  let length = command.length
  for (const name in env) {
    length += name.length + (env[name] as string).length
    if (length > longestKept) return digestOf(request)
  }
  return request
}

/** Whether a request is the one of which that is kept. */
export function isMarkOf(mark: RequestMark, request: CheckedExecutionRequest): boolean {
  return typeof mark === 'string' ? mark === digestOf(request) : textOf(mark) === textOf(request)
}

function digestOf(request: CheckedExecutionRequest): string {
  return createHash('sha256').update(textOf(request)).digest('base64')
}

/** The same for all that asks for the same: neither the order of variables means anything, nor that of the names that may pass. */
function textOf({ command, cwd, env = {}, allowEnv, timeoutMs, noOutputTimeoutMs, mergeStderr }: CheckedExecutionRequest): string {
  const variables = Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1))
  return JSON.stringify([command, cwd, variables, [...new Set(allowEnv)].sort(), timeoutMs, noOutputTimeoutMs, mergeStderr])
}
