import { SlotpoolError } from '../errors.ts'
import { maxCommandBytes } from './execution.ts'

/**
 * Refuses what `bash -c` could not run as it was meant. Both ends call it: the client so that nothing is sent in vain, the server because
 * it trusts no client.
 *
 * @throws {SlotpoolError} `COMMAND_INVALID`; `details.reason` is `type`, `empty`, `nul`, `encoding` or `length`.
 */
export function checkCommand(command: string): void {
  if (typeof command !== 'string') throw invalid('type', `got a command that is of type ${typeof command}, expected a text`)
  if (command.trim() === '') throw invalid('empty', 'got an empty command, expected something to run')
  const nul = command.indexOf('\0')
  if (nul !== -1) throw invalid('nul', `got a command with a NUL byte at character ${nul}, which no argument of a program can hold`)
  if (!command.isWellFormed())
    throw invalid('encoding', 'got a command that is not well-formed Unicode, expected text that UTF-8 can express')
  const bytes = Buffer.byteLength(command)
  if (bytes > maxCommandBytes) {
    throw invalid(
      'length',
      `got a command of ${bytes} bytes, expected at most ${maxCommandBytes}: write it to a file in the slot and run that instead`,
    )
  }
}

function invalid(reason: string, message: string): SlotpoolError {
  return new SlotpoolError('COMMAND_INVALID', message, { details: { reason } })
}
