import { SlotpoolError } from '../errors.ts'
import { Interrupt } from './interrupt.ts'
import { reportError } from './output.ts'

/** Runs the work of a command; its number is the exit code, its error is reported as every command reports errors. */
export async function runCli(json: boolean, work: (interrupt: Interrupt) => Promise<number>): Promise<void> {
  const interrupt = new Interrupt()
  try {
    process.exitCode = await work(interrupt)
  } catch (error) {
    const ours = SlotpoolError.from(error)
    if (interrupt.exitCode === undefined) {
      reportError(ours, json)
      if (ours.code === 'INTERNAL' && process.env.SLOTPOOL_DEBUG) process.stderr.write(`${(error as Error).stack}\n`)
    }
    process.exitCode = ours.exitCode
  }
  if (interrupt.exitCode !== undefined) process.exitCode = interrupt.exitCode
}
