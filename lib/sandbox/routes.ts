import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { executionId, leaseId, leaseRequest, renewRequest, taskId } from '../wire/lease.ts'
import { drainRequest, longestLoadWindowMs, type ServerLoad } from '../wire/load.ts'
import { paths } from '../wire/protocol.ts'
import { homeLeaseRequest, homeQuery } from '../wire/roster.ts'
import type { Executions } from './executions.ts'
import { addFileRoutes } from './file-routes.ts'
import type { HeldLease } from './held-lease.ts'
import type { LeaseTable } from './lease-table.ts'
import { checked, goneSignal } from './requests.ts'
import { addRosterRoutes, homeAnswer } from './roster-routes.ts'
import type { SlotRuntime } from './slot-runtime.ts'
import type { WantedSize } from './wanted-size.ts'

/** What the routes work on. */
export interface RouteContext {
  bootId: string
  leases: LeaseTable
  executions: Executions
  runtime: SlotRuntime
  wantedSize: WantedSize
  status: () => object
}

const leaseParams = z.object({ leaseId })
const executionParams = z.object({ leaseId, executionId })
const attemptParams = executionParams.extend({ attempt: executionId })
const idleQuery = z.strictObject({ waitMs: z.coerce.number().int().min(0).max(60_000).default(0) })
const loadQuery = z.strictObject({
  withinMs: z.coerce.number().int().min(0).max(longestLoadWindowMs).default(0),
  keep: z.coerce.number().int().min(0).max(1_000_000).default(0),
})
const releaseQuery = z.strictObject({ provisional: z.literal('true').optional(), unshared: z.literal('true').optional() })
const taskQuery = z.strictObject({ taskId })

/** The routes that need the token; `lib/wire/protocol.ts` names their paths. */
export function addRoutes(app: FastifyInstance, context: RouteContext): void {
  const { bootId, leases, executions, wantedSize } = context
  const held = (request: FastifyRequest): HeldLease => leases.get(checked(leaseParams, request.params).leaseId)

  app.get('/v1/status', async () => context.status())

  app.get('/v1/idle', async (request, reply) => {
    const { waitMs } = checked(idleQuery, request.query)
    return { idle: await leases.whenIdle(waitMs, goneSignal(reply)) }
  })

  const load = (withinMs: number): ServerLoad => ({ bootId, ...leases.load(withinMs), keep: wantedSize.containers })
  app.get(paths.load, async (request) => {
    const { withinMs, keep } = checked(loadQuery, request.query)
    wantedSize.note(keep)
    return load(withinMs)
  })

  app.put('/v1/draining', async (request) => {
    const { draining, ttlMs } = checked(drainRequest, request.body)
    if (draining) leases.drain(ttlMs)
    else leases.undrain()
    return load(0)
  })

  app.post('/v1/retire', async () => leases.retire())

  app.get('/v1/leases', async (request) => {
    if ('roster' in (request.query as object)) {
      const { taskId, roster } = checked(homeQuery, request.query)
      return homeAnswer(leases.lookUp(taskId, roster), bootId)
    }
    const lease = leases.ofTask(checked(taskQuery, request.query).taskId)
    return { lease: lease?.describe(bootId) ?? null }
  })

  app.post('/v1/leases', async (request, reply) => {
    const gone = goneSignal(reply)
    if (namesRoster(request.body)) {
      const answer = await leases.acquireByRoster(checked(homeLeaseRequest, request.body))
      if (answer.created && gone.aborted) await leases.abandon(answer.lease)
      return reply.status(answer.created ? 201 : 200).send(homeAnswer(answer, bootId))
    }
    const { lease, created } = await leases.acquire(checked(leaseRequest, request.body))
    // It may have waited for its slot; with nobody left to use it, it would hold the slot for its whole lifetime.
    if (created && gone.aborted) await leases.abandon(lease)
    return reply.status(created ? 201 : 200).send({ lease: lease.describe(bootId), created })
  })

  app.post('/v1/leases/:leaseId/confirm', async (request) => leases.confirm(held(request).leaseId).describe(bootId))

  app.post('/v1/leases/:leaseId/renew', async (request) => {
    const { ttlMs } = checked(renewRequest, request.body)
    return leases.renew(held(request).leaseId, ttlMs).describe(bootId)
  })

  app.delete('/v1/leases/:leaseId', async (request, reply) => {
    const { leaseId } = held(request)
    const { provisional, unshared } = checked(releaseQuery, request.query)
    if (unshared) await leases.abandon(leases.get(leaseId))
    else if (provisional) await leases.releaseProvisional(leaseId)
    else await leases.release(leaseId)
    return reply.status(204).send()
  })

  app.post('/v1/leases/:leaseId/executions/:executionId/attempts/:attempt/refuse', async (request) => {
    const { executionId, attempt } = checked(attemptParams, request.params)
    return { refused: executions.refuse(held(request), executionId, attempt) }
  })

  app.delete('/v1/leases/:leaseId/executions/:executionId', async (request, reply) => {
    await executions.cancel(held(request), checked(executionParams, request.params).executionId)
    return reply.status(204).send()
  })

  addFileRoutes(app, context)
  addRosterRoutes(app, context)
}

function namesRoster(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'roster' in body
}
