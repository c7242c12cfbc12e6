import type { Readable } from 'node:stream'
import type { FileSlot } from './file-system.ts'
import type { PatienceLimits } from './patience.ts'
import { begun, outputOf } from './program-output.ts'
import { slotPath } from './slot-path.ts'
import { SlotProgram } from './slot-program.ts'

/**
 * Streams what a program in a slot makes of a path. Resolves once it has begun; the stream ends only when the program says that it was whole.
 *
 * @throws {SlotpoolError} `FILE_NOT_FOUND`; `FILE_FAILED`, also from the stream; `CANCELLED`.
 */
export async function streamOut(parts: {
  slot: FileSlot
  script: string
  path: string
  signal: AbortSignal
  patience: PatienceLimits
}): Promise<Readable> {
  const program = await SlotProgram.start({ ...parts, args: [slotPath(parts.path)], output: true })
  program.stdin.end()
  const content = outputOf(program)
  try {
    await begun(program)
    return content
  } catch (error) {
    content.destroy()
    throw error
  }
}
