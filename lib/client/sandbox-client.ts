import type { Readable } from 'node:stream'
import type { SlotpoolError } from '../errors.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { checkFilePath } from '../wire/file-path.ts'
import { type Lease, type LeaseRequest, type LeaseResponse, lease, leaseLookup, leaseResponse } from '../wire/lease.ts'
import { paths } from '../wire/protocol.ts'
import { type Health, health, idleResponse, type ServerStatus, serverStatus } from '../wire/status.ts'
import { Connection } from './request.ts'

/** How long a short request may wait for its answer: taking or ending a lease kills a jail at worst. */
const answerTimeoutMs = 30_000

/** Speaks to one sandbox server. Every method throws {@link SlotpoolError}: the server's own, or `SERVER_UNREACHABLE`, or `CANCELLED`. */
export class SandboxClient {
  readonly connection: Connection

  constructor(endpoint: Endpoint, token: string) {
    this.connection = new Connection(endpoint, token)
  }

  /** Whether the server is there and which boot it is. Needs no token. */
  health(signal?: AbortSignal): Promise<Health> {
    return this.connection.json(health, { method: 'GET', path: paths.health, signal, headersTimeoutMs: 5_000 })
  }

  status(signal?: AbortSignal): Promise<ServerStatus> {
    return this.connection.json(serverStatus, { method: 'GET', path: paths.status, signal, headersTimeoutMs: answerTimeoutMs })
  }

  /** Resolves with the number of idle slots: as soon as there is one, at the latest after `waitMs` (60,000 at most). */
  async idle(waitMs: number, signal?: AbortSignal): Promise<number> {
    const path = `${paths.idle}?waitMs=${waitMs}`
    return (await this.connection.json(idleResponse, { method: 'GET', path, signal })).idle
  }

  /** The lease of a task: the one it has here, or a new one. */
  lease(request: LeaseRequest, signal?: AbortSignal): Promise<LeaseResponse> {
    return this.connection.json(leaseResponse, {
      method: 'POST',
      path: paths.leases,
      json: request,
      signal,
      headersTimeoutMs: answerTimeoutMs,
    })
  }

  /** The lease that a task has here, or null. */
  async leaseOfTask(taskId: string, signal?: AbortSignal): Promise<Lease | null> {
    const path = paths.leaseOfTask(taskId)
    return (await this.connection.json(leaseLookup, { method: 'GET', path, signal, headersTimeoutMs: answerTimeoutMs })).lease
  }

  confirm(leaseId: string, signal?: AbortSignal): Promise<Lease> {
    return this.connection.json(lease, { method: 'POST', path: paths.confirm(leaseId), signal, headersTimeoutMs: answerTimeoutMs })
  }

  renew(leaseId: string, ttlMs: number, signal?: AbortSignal): Promise<Lease> {
    const path = paths.renew(leaseId)
    return this.connection.json(lease, { method: 'POST', path, json: { ttlMs }, signal, headersTimeoutMs: answerTimeoutMs })
  }

  /** Ends a lease: when it resolves, no process of it is left. */
  release(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty({ method: 'DELETE', path: paths.lease(leaseId), signal, headersTimeoutMs: answerTimeoutMs })
  }

  /**
   * Ends a lease that nobody has confirmed yet.
   *
   * @throws {SlotpoolError} `LEASE_CONTENDED` when somebody has: it stands then.
   */
  releaseProvisional(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty({ method: 'DELETE', path: paths.provisionalLease(leaseId), signal, headersTimeoutMs: answerTimeoutMs })
  }

  /** Ends a lease unless somebody else than the one who made it has asked for it: it stands then. */
  releaseUnshared(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty({ method: 'DELETE', path: paths.unsharedLease(leaseId), signal, headersTimeoutMs: answerTimeoutMs })
  }

  /** Ends an execution and all that it started; resolves when nothing of it is left. */
  cancel(leaseId: string, executionId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty({
      method: 'DELETE',
      path: paths.execution(leaseId, executionId),
      signal,
      headersTimeoutMs: answerTimeoutMs,
    })
  }

  /** Streams a file out of the slot. */
  async readFile(leaseId: string, path: string, signal?: AbortSignal): Promise<Readable> {
    checkFilePath(path)
    return (await this.connection.send({ method: 'GET', path: paths.file(leaseId, path), signal })).body
  }

  /** Writes a file of `bytes` bytes in the slot; an existing one is replaced as a whole or not at all. */
  async writeFile(leaseId: string, path: string, body: Buffer | Readable, bytes: number, signal?: AbortSignal): Promise<void> {
    checkFilePath(path)
    await this.connection.empty({ method: 'PUT', path: paths.file(leaseId, path), content: { body, bytes }, signal })
  }

  async close(): Promise<void> {
    await this.connection.close()
  }
}
