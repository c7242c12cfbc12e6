import { SlotpoolError } from '../../errors.ts'
import type { EngineAddress } from './engine-address.ts'
import { mendCommand } from './mend-command.ts'

/** What dockerode rejects with for an answer that is no success: the status, and what the engine said. */
interface EngineAnswer extends Error {
  statusCode: number
  json?: unknown
}

function isEngineAnswer(error: unknown): error is EngineAnswer {
  return error instanceof Error && typeof (error as Partial<EngineAnswer>).statusCode === 'number'
}

/** The HTTP status with which the engine refused, if that is what `error` is or was made from. */
export function engineStatus(error: unknown): number | undefined {
  if (isEngineAnswer(error)) return error.statusCode
  return error instanceof SlotpoolError && error.cause !== undefined ? engineStatus(error.cause) : undefined
}

/** What the engine said, without dockerode's frame around it. */
export function engineReason(error: EngineAnswer | Error): string {
  const json = (error as Partial<EngineAnswer>).json
  if (json !== null && typeof json === 'object' && typeof (json as { message?: unknown }).message === 'string') {
    return (json as { message: string }).message.trim()
  }
  return error.message.replace(/^\(HTTP code \d+\) .*? - /, '').trim()
}

/**
 * Our error for what a request to the engine failed with.
 *
 * @param doing completes "docker could not …".
 * @returns `CANCELLED`, `DOCKER_REQUEST_FAILED` with the engine's own words, or `DOCKER_UNAVAILABLE` with the address tried.
 */
export function engineError(error: unknown, doing: string, address: EngineAddress): SlotpoolError {
  if (error instanceof SlotpoolError) return error
  if (!(error instanceof Error)) return SlotpoolError.from(error)
  if (error.name === 'AbortError')
    return new SlotpoolError('CANCELLED', `docker was told to stop before it could ${doing}`, { cause: error })
  if (isEngineAnswer(error)) {
    return new SlotpoolError('DOCKER_REQUEST_FAILED', `docker could not ${doing}: ${engineReason(error)} (status ${error.statusCode})`, {
      cause: error,
      // Only what the engine itself calls a conflict or its own failure may pass by itself.
      retryable: error.statusCode === 409 || error.statusCode >= 500,
      details: { status: error.statusCode },
    })
  }
  return unavailable(error, address)
}

function unavailable(error: Error, address: EngineAddress): SlotpoolError {
  const code = (error as NodeJS.ErrnoException).code
  const why =
    code === 'ENOENT'
      ? 'there is no such socket'
      : code === 'ECONNREFUSED'
        ? 'nothing listens there'
        : code === 'EACCES' || code === 'EPERM'
          ? 'this user may not use the socket'
          : error.message
  const named = address.namedBy === null ? '' : `, named by ${address.namedBy}`
  const command = mendCommand(address, code)
  return new SlotpoolError('DOCKER_UNAVAILABLE', `Docker does not answer at ${address.address}${named}: ${why}. To mend it: ${command}`, {
    cause: error,
    details: { address: address.address, ...(address.namedBy === null ? {} : { namedBy: address.namedBy }), command },
  })
}
