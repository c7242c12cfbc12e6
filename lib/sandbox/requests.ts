import type { FastifyReply } from 'fastify'
import type { z } from 'zod'
import { SlotpoolError } from '../errors.ts'
import type { HeldLease } from './held-lease.ts'

/** Nothing runs under a provisional lease: the task may yet get its slot in another container. */
export function settled(lease: HeldLease): HeldLease {
  if (!lease.provisional) return lease
  throw new SlotpoolError('LEASE_CONTENDED', `lease ${lease.leaseId} is provisional; confirm it before it is used`)
}

/**
 * Text that is not UTF-8 is refused; a lenient reader would run another command than was sent.
 *
 * @throws {SlotpoolError} `REQUEST_INVALID`.
 */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (error) {
    throw new SlotpoolError('REQUEST_INVALID', `got a body that is not JSON in UTF-8: ${(error as Error).message}`, { cause: error })
  }
}

/** @throws {SlotpoolError} `REQUEST_INVALID` naming the field, what it got and what was expected. */
export function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value ?? {})
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue?.path.join('.') ?? ''
  throw new SlotpoolError('REQUEST_INVALID', `${path === '' ? 'request' : path}: ${issue?.message ?? 'invalid'}`, { details: { path } })
}

/** Aborted when the client goes away before it has its answer. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  if (reply.raw.destroyed) gone.abort()
  reply.raw.once('close', () => {
    // An answer that was given closes, too; to abort makes an error with its stack, at each of them.
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}
