import { once } from 'node:events'
import type { SlotpoolError } from '../errors.ts'
import { printable } from './printable.ts'

/** Writes a result to stdout; resolves when it may take more. */
export async function writeStdout(chunk: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(chunk)) await drained(process.stdout)
}

/** Writes to stderr what the command wrote there; resolves when it may take more. */
export async function writeStderr(chunk: string | Uint8Array): Promise<void> {
  if (!process.stderr.write(chunk)) await drained(process.stderr)
}

const draining = new WeakMap<NodeJS.WriteStream, Promise<unknown>>()

/** One wait for all who write: beyond ten of them Node would warn of a leak, in the middle of the command's own stderr. */
async function drained(stream: NodeJS.WriteStream): Promise<void> {
  let waiting = draining.get(stream)
  if (!waiting) {
    waiting = once(stream, 'drain').finally(() => draining.delete(stream))
    draining.set(stream, waiting)
  }
  await waiting
}

/** Progress and notices, a line or several. They go to stderr: stdout carries results only. */
export function notice(text: string): void {
  process.stderr.write(`${text.split('\n').map(printable).join('\n')}\n`)
}

/** Says what went wrong: on stderr for people, with `--json` on stdout for programs. */
export function reportError(error: SlotpoolError, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ error: { ...error.toJSON(), advice: error.advice } })}\n`)
  else notice(`slotpool: ${error.code}: ${error.message}\n${error.advice}`)
}
