import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { SlotpoolError } from '../errors.ts'
import { checkCommand } from '../wire/command.ts'
import { checkEnv } from '../wire/env.ts'
import { executionRequest, type OutputOffsets, outputOffsets } from '../wire/execution.ts'
import { executionId, leaseId, leaseRequest, renewRequest, taskId } from '../wire/lease.ts'
import { framesMediaType } from '../wire/protocol.ts'
import type { Execution } from './execution.ts'
import { streamExecution } from './execution-stream.ts'
import type { Executions } from './executions.ts'
import type { HeldLease } from './held-lease.ts'
import type { LeaseTable } from './lease-table.ts'
import type { SlotRuntime } from './slot-runtime.ts'
import type { Slots } from './slots.ts'

/** What the routes work on. */
export interface RouteContext {
  bootId: string
  slots: Slots
  leases: LeaseTable
  executions: Executions
  runtime: SlotRuntime
  status: () => object
}

const leaseParams = z.object({ leaseId })
const executionParams = z.object({ leaseId, executionId })
const idleQuery = z.strictObject({ waitMs: z.coerce.number().int().min(0).max(60_000).default(0) })
const releaseQuery = z.strictObject({ provisional: z.literal('true').optional(), unshared: z.literal('true').optional() })
const taskQuery = z.strictObject({ taskId })
const fileQuery = z.strictObject({ path: z.string() })

/** The routes that need the token; `lib/wire/protocol.ts` names their paths. */
export function addRoutes(app: FastifyInstance, context: RouteContext): void {
  const { bootId, slots, leases, executions, runtime } = context
  const held = (request: FastifyRequest): HeldLease => leases.get(checked(leaseParams, request.params).leaseId)

  app.get('/v1/status', async () => context.status())

  app.get('/v1/idle', async (request, reply) => {
    const { waitMs } = checked(idleQuery, request.query)
    return { idle: await slots.whenIdle(waitMs, goneSignal(reply)) }
  })

  app.get('/v1/leases', async (request) => {
    const lease = leases.ofTask(checked(taskQuery, request.query).taskId)
    return { lease: lease?.describe(bootId) ?? null }
  })

  app.post('/v1/leases', async (request, reply) => {
    const gone = goneSignal(reply)
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

  app.post('/v1/leases/:leaseId/executions/:executionId', async (request, reply) => {
    const lease = settled(held(request))
    const body = checked(executionRequest, request.body)
    checkCommand(body.command)
    checkEnv(body.env ?? {})
    const offsets = checked(outputOffsets, request.query)
    const execution = executions.start(lease, checked(executionParams, request.params).executionId, body)
    await sendExecution(execution, offsets, reply)
  })

  app.get('/v1/leases/:leaseId/executions/:executionId', async (request, reply) => {
    const offsets = checked(outputOffsets, request.query)
    await sendExecution(executions.get(held(request), checked(executionParams, request.params).executionId), offsets, reply)
  })

  app.delete('/v1/leases/:leaseId/executions/:executionId', async (request, reply) => {
    await executions.cancel(held(request), checked(executionParams, request.params).executionId)
    return reply.status(204).send()
  })

  app.get('/v1/leases/:leaseId/files', async (request, reply) => {
    const lease = settled(held(request))
    const { path } = checked(fileQuery, request.query)
    // A download is a use of the lease to its end, however slow its reader.
    await leases.use(lease, async () => {
      const content = await runtime.readFile(lease.slot.jail, path, goneSignal(reply))
      const closed = new Promise((resolve) => content.once('close', resolve))
      reply.type('application/octet-stream').send(content)
      if (!content.closed) await closed
    })
    return reply
  })

  app.put('/v1/leases/:leaseId/files', async (request, reply) => {
    const lease = settled(held(request))
    const { path } = checked(fileQuery, request.query)
    const bytes = Number(request.headers['content-length'])
    if (!Number.isSafeInteger(bytes)) throw new SlotpoolError('REQUEST_INVALID', 'got no content-length, expected the size of the file')
    await leases.use(lease, () => runtime.writeFile(lease.slot.jail, path, request.raw, bytes, goneSignal(reply)))
    return reply.status(204).send()
  })
}

async function sendExecution(execution: Execution, offsets: OutputOffsets, reply: FastifyReply): Promise<void> {
  reply.hijack()
  const headers = { ...(reply.getHeaders() as Record<string, string>), 'content-type': framesMediaType }
  reply.raw.writeHead(200, headers)
  await streamExecution(execution, offsets, reply.raw)
}

/** Nothing runs under a provisional lease: the task may yet get its slot in another container. */
function settled(lease: HeldLease): HeldLease {
  if (!lease.provisional) return lease
  throw new SlotpoolError('LEASE_CONTENDED', `lease ${lease.leaseId} is provisional; confirm it before it is used`)
}

/** @throws {SlotpoolError} `REQUEST_INVALID` naming the field, what it got and what was expected. */
function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue?.path.join('.') ?? ''
  throw new SlotpoolError('REQUEST_INVALID', `${path === '' ? 'request' : path}: ${issue?.message ?? 'invalid'}`, { details: { path } })
}

/** Aborted when the client goes away before it has its answer. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  if (reply.raw.destroyed) gone.abort()
  reply.raw.once('close', () => gone.abort())
  return gone.signal
}
