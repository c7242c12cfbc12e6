import { randomBytes } from 'node:crypto'
import { loadConfig } from '../lib/config.ts'
import { hasEnded, listJobAllocations } from '../lib/nomad/allocations.ts'
import { followQuery } from '../lib/nomad/blocking-query.ts'
import { NomadClient } from '../lib/nomad/client.ts'
import { deregisterJob, registerJob } from '../lib/nomad/jobs.ts'
import type { Bench } from './bench.ts'

/**
 * What Nomad itself takes: a batch job of one task with the image of slotpool's containers that says hello, from its registration until
 * Nomad says that it is complete. Resolves with the milliseconds.
 */
export async function runBareTask(bench: Bench): Promise<number> {
  const { nomad, image } = loadConfig()
  const client = new NomadClient(nomad)
  const id = `slotpool-bench-${process.pid}-${randomBytes(4).toString('hex')}`
  const purge = bench.scope.add(`purge job ${id}`, async () => {
    await deregisterJob(client, id, { purge: true })
    client.close()
  })
  try {
    const startedAt = performance.now()
    await registerJob(client, jobSpec(id, image), 0, bench.signal)
    const status = await ended(client, id, bench.signal)
    const elapsedMs = performance.now() - startedAt
    if (status !== 'complete') throw new Error(`the bare task on Nomad ended as ${status}`)
    return elapsedMs
  } finally {
    await purge()
  }
}

function jobSpec(id: string, image: string): { ID: string } & Record<string, unknown> {
  return {
    ID: id,
    Name: id,
    Type: 'batch',
    Datacenters: ['*'],
    TaskGroups: [
      {
        Name: 'bare',
        Count: 1,
        RestartPolicy: { Attempts: 0, Mode: 'fail' },
        ReschedulePolicy: { Attempts: 0, Unlimited: false },
        Tasks: [
          {
            Name: 'bare',
            Driver: 'docker',
            Config: { image, force_pull: false, entrypoint: ['/bin/bash', '-c'], args: ['echo hello'] },
            Resources: { CPU: 100, MemoryMB: 512 },
          },
        ],
      },
    ],
  }
}

/** Resolves with the status in which Nomad sees the job's allocation end. */
async function ended(client: NomadClient, id: string, signal: AbortSignal): Promise<string> {
  const over = new AbortController()
  let status = 'unknown'
  await followQuery(
    (parameters) => listJobAllocations(client, id, {}, parameters, AbortSignal.any([signal, over.signal])),
    (allocations) => {
      const last = allocations.find(hasEnded)
      if (!last) return
      status = last.ClientStatus
      over.abort()
    },
    AbortSignal.any([signal, over.signal]),
  )
  signal.throwIfAborted()
  return status
}
