import { createHash, randomBytes } from 'node:crypto'
import { processStat } from '../../sandbox/processes.ts'
import type { ProcessName } from '../process-life.ts'
import { here, isGone, type ProcessPlace } from '../process-place.ts'

/** A process, the machine and the PID namespace in which it is, and the boot: the folder may be on a disk that several share. */
const pattern = /^(\d+)-(\d+)-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})-/

/** A name for a folder of this process that tells whose it is. */
export async function stagingName(): Promise<string> {
  const startTicks = (await processStat(process.pid).catch(() => undefined))?.startTicks ?? 0
  return stagingNameOf({ pid: process.pid, startTicks, ...here() })
}

/** The same for any process. */
export function stagingNameOf({ pid, startTicks, machine, bootId, pidNamespace }: ProcessName & ProcessPlace): string {
  return [pid, startTicks, short(machine), short(bootId), short(pidNamespace), randomBytes(4).toString('hex')].join('-')
}

/** Whether whoever made a folder of this name is gone for certain. */
export function isAbandoned(name: string): boolean {
  const [, pid, startTicks, machine, bootId, pidNamespace] = pattern.exec(name) ?? []
  const place = here()
  if (machine !== short(place.machine)) return false
  return isGone({
    pid: Number(pid),
    startTicks: Number(startTicks),
    machine: place.machine,
    bootId: bootId === short(place.bootId) ? place.bootId : '',
    pidNamespace: pidNamespace === short(place.pidNamespace) ? place.pidNamespace : '',
  })
}

function short(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
