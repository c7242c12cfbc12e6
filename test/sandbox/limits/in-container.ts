import { ControlGroups } from '../../../lib/sandbox/limits/control-groups.ts'
import { ending, joined, nextLine } from './joined.ts'

/** What runs in a container to see which control groups can be had there; it prints what it saw as JSON. */
export interface Seen {
  /** Why there are none, or null. */
  reason: string | null
  controllers: string[]
  /** What `pids.max` refused of 100 processes where 32 are allowed. */
  refused: number
  hits: { memory: number; processes: number }
  /** What is left in the slot's group after its end. */
  left: number
}

async function look(): Promise<Seen> {
  const opened = await ControlGroups.open()
  if ('reason' in opened) {
    return { reason: opened.reason, controllers: [], refused: 0, hits: { memory: 0, processes: 0 }, left: 0 }
  }
  const { groups } = opened
  const slot = await groups.slot(0, { processes: 32, memoryBytes: 64 * 2 ** 20, cpuWeight: 100 })
  const bomb = `perl -e '$| = 1; for (1..100) { my $p = fork(); if (!defined $p) { $no++ } elsif ($p == 0) { sleep 1000 } } print "$no\\n"; sleep 1000'`
  const execution = await slot.execution()
  const child = joined(execution.joinFiles, bomb)
  const refused = Number(await nextLine(child))
  await execution.end()
  await ending(child)
  const hog = joined((await slot.execution()).joinFiles, `perl -e '$x = "x" x (128 * 1024 * 1024); sleep 1000'; :`)
  await ending(hog)
  const hits = slot.hits()
  await slot.end()
  const left = (await slot.members()).length
  await groups.close()
  return { reason: null, controllers: [...groups.controllers].sort(), refused, hits, left }
}

process.stdout.write(`${JSON.stringify(await look())}\n`)
