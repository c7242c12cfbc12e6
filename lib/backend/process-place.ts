import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAlive, type ProcessName } from './process-life.ts'

/** Where the id of a process means something: the machine, its boot and the PID namespace. */
export interface ProcessPlace {
  machine: string
  bootId: string
  pidNamespace: string
}

/** Where this process is. */
export function here(): ProcessPlace {
  return {
    machine: textOf('/etc/machine-id') || hostname(),
    bootId: textOf('/proc/sys/kernel/random/boot_id'),
    pidNamespace: pidNamespace(),
  }
}

/** Whether a process is gone for certain. One of another machine or of another PID namespace cannot be looked for. */
export function isGone(process: ProcessName & ProcessPlace): boolean {
  const from = here()
  if (process.machine !== from.machine) return false
  if (process.bootId !== from.bootId) return true
  return from.pidNamespace !== '' && process.pidNamespace === from.pidNamespace && !isAlive(process)
}

/** Whether a process runs for certain. */
export function runsHere(process: ProcessName & ProcessPlace): boolean {
  const { machine, bootId, pidNamespace } = here()
  return process.machine === machine && process.bootId === bootId && process.pidNamespace === pidNamespace && isAlive(process)
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
