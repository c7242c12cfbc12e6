import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { SlotpoolError } from '../errors.ts'
import { fileQuery, listQuery, removeQuery, tarQuery, writeQuery } from '../wire/files.ts'
import { frameHeader, frameType, jsonFrame, maxFrameBytes } from '../wire/frames.ts'
import { leaseId } from '../wire/lease.ts'
import { framesMediaType } from '../wire/protocol.ts'
import type { HeldLease } from './held-lease.ts'
import type { LeaseTable } from './lease-table.ts'
import { checked, goneSignal, settled } from './requests.ts'
import type { SlotRuntime } from './slot-runtime.ts'

const leaseParams = z.object({ leaseId })

/** The routes for the files of a slot. Moving a file is a use of the lease to its end, however slow the other side is. */
export function addFileRoutes(app: FastifyInstance, { leases, runtime }: { leases: LeaseTable; runtime: SlotRuntime }): void {
  const { files } = runtime
  const held = (request: FastifyRequest): HeldLease => settled(leases.get(checked(leaseParams, request.params).leaseId))

  app.get('/v1/leases/:leaseId/files', async (request, reply) => {
    const lease = held(request)
    const { path } = checked(fileQuery, request.query)
    await leases.use(lease, async () => {
      const content = await files.read(lease.slot, path, goneSignal(reply))
      await sent(content, reply.type('application/octet-stream'))
    })
    return reply
  })

  app.put('/v1/leases/:leaseId/files', async (request, reply) => {
    const lease = held(request)
    const { path, mode } = checked(writeQuery, request.query)
    const bytes = announcedBytes(request)
    await leases.use(lease, () => files.write(lease.slot, path, request.raw, { bytes, mode }, goneSignal(reply)))
    return reply.status(204).send()
  })

  app.delete('/v1/leases/:leaseId/files', async (request, reply) => {
    const lease = held(request)
    const { path, recursive } = checked(removeQuery, request.query)
    await leases.use(lease, () => files.remove(lease.slot, path, recursive !== undefined, goneSignal(reply)))
    return reply.status(204).send()
  })

  app.get('/v1/leases/:leaseId/files/list', async (request, reply) => {
    const lease = held(request)
    const { path, recursive, maxEntries } = checked(listQuery, request.query)
    const bounds = { recursive: recursive !== undefined, maxEntries }
    return { entries: await leases.use(lease, () => files.list(lease.slot, path, bounds, goneSignal(reply))) }
  })

  app.get('/v1/leases/:leaseId/files/stat', async (request, reply) => {
    const lease = held(request)
    const { path } = checked(fileQuery, request.query)
    return { entry: await leases.use(lease, () => files.stat(lease.slot, path, goneSignal(reply))) }
  })

  app.post('/v1/leases/:leaseId/files/folder', async (request, reply) => {
    const lease = held(request)
    const { path } = checked(fileQuery, request.query)
    await leases.use(lease, () => files.makeFolder(lease.slot, path, goneSignal(reply)))
    return reply.status(204).send()
  })

  app.put('/v1/leases/:leaseId/files/tar', async (request, reply) => {
    const lease = held(request)
    const { path, ...bounds } = checked(tarQuery, request.query)
    return leases.use(lease, () => files.uploadTar(lease.slot, path, request.raw, bounds, goneSignal(reply)))
  })

  app.get('/v1/leases/:leaseId/files/tar', async (request, reply) => {
    const lease = held(request)
    const { path } = checked(fileQuery, request.query)
    await leases.use(lease, async () => {
      const content = await files.downloadTar(lease.slot, path, goneSignal(reply))
      await sent(Readable.from(framed(content), { objectMode: false }), reply.type(framesMediaType))
    })
    return reply
  })
}

/** Sends a stream as the answer; resolves when nothing more of it will be read. */
async function sent(content: Readable, reply: FastifyReply): Promise<void> {
  const closed = new Promise((resolve) => content.once('close', resolve))
  reply.send(content)
  if (!content.closed) await closed
}

/** In frames, so that what went wrong in the middle can be said. */
async function* framed(content: Readable): AsyncGenerator<Buffer> {
  let bytes = 0
  try {
    for await (const chunk of content as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += maxFrameBytes) {
        const piece = chunk.subarray(at, at + maxFrameBytes)
        yield frameHeader(frameType.stdout, piece.length)
        yield piece
      }
      bytes += chunk.length
    }
    yield jsonFrame(frameType.end, { bytes })
  } catch (error) {
    yield jsonFrame(frameType.error, SlotpoolError.from(error))
  }
}

/** The length of a body as it was announced; undefined where it comes in chunks and says itself when it ends. */
function announcedBytes(request: FastifyRequest): number | undefined {
  if (request.headers['transfer-encoding'] === 'chunked') return undefined
  const bytes = Number(request.headers['content-length'])
  if (Number.isSafeInteger(bytes)) return bytes
  throw new SlotpoolError('REQUEST_INVALID', 'got neither content-length nor chunks, expected the size of the file')
}
