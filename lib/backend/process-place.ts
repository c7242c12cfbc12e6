import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import { isAlive, type ProcessName } from './process-life.ts'

/** Where the id of a process means something: the machine, its boot and the PID namespace. */
export const processPlace = z.object({ machine: z.string(), bootId: z.string(), pidNamespace: z.string() })
export type ProcessPlace = z.infer<typeof processPlace>

let own: ProcessPlace | undefined

/** Where this process is. */
export function here(): ProcessPlace {
  own ??= {
    machine: textOf('/etc/machine-id') || hostname(),
    bootId: textOf('/proc/sys/kernel/random/boot_id'),
    pidNamespace: pidNamespace(),
  }
  return own
}

/** What can be said here of a process there: it can be looked for; it is gone, for its machine was started anew; or nothing. */
export function seenFromHere({ machine, bootId, pidNamespace }: ProcessPlace): 'looked for' | 'gone' | 'unknown' {
  const place = here()
  if (machine !== place.machine) return 'unknown'
  if (bootId !== place.bootId) return 'gone'
  return pidNamespace !== '' && pidNamespace === place.pidNamespace ? 'looked for' : 'unknown'
}

/** Whether a process is gone for certain. */
export function isGone(process: ProcessName & ProcessPlace): boolean {
  const seen = seenFromHere(process)
  return seen === 'gone' || (seen === 'looked for' && !isAlive(process))
}

/** Whether a process runs for certain. */
export function runsHere(process: ProcessName & ProcessPlace): boolean {
  return seenFromHere(process) === 'looked for' && isAlive(process)
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
