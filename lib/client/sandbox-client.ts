import type { Readable } from 'node:stream'
import type { SlotpoolError } from '../errors.ts'
import type { Endpoint } from '../wire/endpoint.ts'
import { refusalAnswer } from '../wire/execution.ts'
import { checkFilePath } from '../wire/file-path.ts'
import { type FileEntry, listResponse, statResponse, type TarBounds, type TarResult, tarResponse } from '../wire/files.ts'
import { type Lease, type LeaseRequest, type LeaseResponse, lease, leaseLookup, leaseResponse } from '../wire/lease.ts'
import { type LoadQuery, type RetireAnswer, retireAnswer, type ServerLoad, serverLoad } from '../wire/load.ts'
import { paths, protocolHeader, protocolVersion } from '../wire/protocol.ts'
import {
  type HomeAnswer,
  type HomeLeaseRequest,
  homeAnswer,
  proposalAccepted,
  type Roster,
  type RosterOpening,
  type RosterProposal,
  rosterLookup,
  type StandingLease,
  type WhereaboutsRequest,
} from '../wire/roster.ts'
import { type Health, health, idleResponse, type ServerStatus, serverStatus } from '../wire/status.ts'
import { ExecutionChannels } from './execution-channels.ts'
import { answerTimeoutMs } from './patience.ts'
import { Connection, type RequestOptions } from './request.ts'
import { unframed } from './unframed.ts'

/** Speaks to one sandbox server. Every method throws {@link SlotpoolError}: the server's own, or `SERVER_UNREACHABLE`, or `CANCELLED`. */
export class SandboxClient {
  readonly endpoint: Endpoint
  readonly connection: Connection
  /** For executions: see {@link execute}. */
  readonly channels: ExecutionChannels

  constructor(endpoint: Endpoint, token: string) {
    this.endpoint = endpoint
    const headers = { authorization: `Bearer ${token}`, [protocolHeader]: String(protocolVersion) }
    this.connection = new Connection(endpoint, headers)
    this.channels = new ExecutionChannels(endpoint, headers)
  }

  /** Whether the server is there and which boot it is. Needs no token. */
  health(signal?: AbortSignal): Promise<Health> {
    return this.connection.json(health, { method: 'GET', path: paths.health, signal, headersTimeoutMs: 5_000 })
  }

  status(signal?: AbortSignal): Promise<ServerStatus> {
    return this.connection.json(serverStatus, brief('GET', paths.status, signal))
  }

  /** Resolves with the number of idle slots: as soon as there is one, at the latest after `waitMs` (60,000 at most). */
  async idle(waitMs: number, signal?: AbortSignal): Promise<number> {
    const path = `${paths.idle}?waitMs=${waitMs}`
    return (await this.connection.json(idleResponse, { method: 'GET', path, signal })).idle
  }

  /** How busy the server is: cheap. `withinMs` (3,600,000 at most) is how far back its `mostLeased` looks. */
  load(query: Partial<LoadQuery> = {}, signal?: AbortSignal): Promise<ServerLoad> {
    const { withinMs = 0, keep = 0 } = query
    return this.connection.json(serverLoad, brief('GET', `${paths.load}?withinMs=${withinMs}&keep=${keep}`, signal))
  }

  /** Has the server give no new lease for `ttlMs`, or give them again. It says how busy it is. */
  setDraining(draining: boolean, ttlMs: number, signal?: AbortSignal): Promise<ServerLoad> {
    return this.connection.json(serverLoad, brief('PUT', paths.draining, signal, { draining, ttlMs }))
  }

  /** Has the server never give a lease again, if there is none: it says whether there was. */
  retire(signal?: AbortSignal): Promise<RetireAnswer> {
    return this.connection.json(retireAnswer, brief('POST', paths.retire, signal))
  }

  /** The lease of a task: the one it has here, or a new one. */
  lease(request: LeaseRequest, signal?: AbortSignal): Promise<LeaseResponse> {
    this.channels.openAhead()
    return this.connection.json(leaseResponse, brief('POST', paths.leases, signal, request))
  }

  /** The lease that a task has here, or null. */
  async leaseOfTask(taskId: string, signal?: AbortSignal): Promise<Lease | null> {
    const path = paths.leaseOfTask(taskId)
    return (await this.connection.json(leaseLookup, brief('GET', path, signal))).lease
  }

  /** The lease of a task that is at home here, or that found its home full: the one it has, here or elsewhere, or a new one. */
  leaseByRoster(request: HomeLeaseRequest, signal?: AbortSignal): Promise<HomeAnswer> {
    this.channels.openAhead()
    return this.connection.json(homeAnswer, brief('POST', paths.leases, signal, request))
  }

  /** What is known here of a task that is at home here by that roster. */
  taskAtHome(taskId: string, roster: string, signal?: AbortSignal): Promise<HomeAnswer> {
    const path = paths.taskAtHome(taskId, roster)
    return this.connection.json(homeAnswer, brief('GET', path, signal))
  }

  /** The roster that the server was told last. One that is `known` is not sent whole. */
  async roster(signal?: AbortSignal, known?: Roster): Promise<Roster | null> {
    const asked = brief('GET', known ? paths.rosterUnless(known.id) : paths.roster, signal)
    const { roster } = await this.connection.json(rosterLookup, asked)
    return roster && { ...roster, containers: roster.containers ?? known?.containers ?? [] }
  }

  /** Tells the server a new roster; resolves with the leases that stand there. None comes to stand under an earlier one any more. */
  async proposeRoster(proposal: RosterProposal, signal?: AbortSignal): Promise<StandingLease[]> {
    const asked = brief('PUT', paths.roster, signal, proposal)
    return (await this.connection.json(proposalAccepted, asked)).leases
  }

  openRoster(opening: RosterOpening, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('POST', paths.openRoster, signal, opening))
  }

  /** Has a home note down where a task gets its slot; resolves with what stands in the way, if anything. */
  noteWhereabouts(request: WhereaboutsRequest, signal?: AbortSignal): Promise<HomeAnswer> {
    return this.connection.json(homeAnswer, brief('POST', paths.whereabouts, signal, request))
  }

  /** Has a home forget a lease that has ended elsewhere. */
  forgetWhereabouts(taskId: string, leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('DELETE', paths.noted(taskId, leaseId), signal))
  }

  confirm(leaseId: string, signal?: AbortSignal): Promise<Lease> {
    return this.connection.json(lease, brief('POST', paths.confirm(leaseId), signal))
  }

  renew(leaseId: string, ttlMs: number, signal?: AbortSignal): Promise<Lease> {
    const path = paths.renew(leaseId)
    return this.connection.json(lease, brief('POST', path, signal, { ttlMs }))
  }

  /** Ends a lease: when it resolves, no process of it is left. */
  release(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('DELETE', paths.lease(leaseId), signal))
  }

  /**
   * Ends a lease that nobody has confirmed yet.
   *
   * @throws {SlotpoolError} `LEASE_CONTENDED` when somebody has: it stands then.
   */
  releaseProvisional(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('DELETE', paths.provisionalLease(leaseId), signal))
  }

  /** Ends a lease unless somebody else than the one who made it has asked for it: it stands then. */
  releaseUnshared(leaseId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('DELETE', paths.unsharedLease(leaseId), signal))
  }

  /**
   * Has one attempt at an execution that has not come refused if it comes yet; resolves with whether the execution had not. One that has come goes
   * on.
   */
  async refuse(leaseId: string, executionId: string, attempt: string, signal?: AbortSignal): Promise<boolean> {
    const asked = brief('POST', paths.refusedAttempt(leaseId, executionId, attempt), signal)
    return (await this.connection.json(refusalAnswer, asked)).refused
  }

  /** Ends an execution and all that it started; resolves when nothing of it is left. */
  cancel(leaseId: string, executionId: string, signal?: AbortSignal): Promise<void> {
    return this.connection.empty(brief('DELETE', paths.execution(leaseId, executionId), signal))
  }

  /** Streams a file out of the slot. */
  async readFile(leaseId: string, path: string, signal?: AbortSignal): Promise<Readable> {
    checkFilePath(path)
    return (await this.connection.send({ method: 'GET', path: paths.file(leaseId, path), signal })).body
  }

  /**
   * Writes a file in the slot; an existing one is replaced as a whole or not at all. `bytes` is its length, where that is known; `mode` its
   * permission bits.
   */
  async writeFile(
    leaseId: string,
    path: string,
    body: Buffer | Readable,
    options: { bytes?: number | undefined; mode?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkFilePath(path)
    const { bytes, mode, signal } = options
    await this.connection.empty({ method: 'PUT', path: paths.file(leaseId, path, { mode }), content: { body, bytes }, signal })
  }

  /** What is in a folder. */
  async listFiles(
    leaseId: string,
    path: string,
    options: { recursive?: boolean | undefined; maxEntries?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<FileEntry[]> {
    checkFilePath(path)
    const { recursive, maxEntries, signal } = options
    const query = { recursive: recursive || undefined, maxEntries }
    return (await this.connection.json(listResponse, { method: 'GET', path: paths.fileList(leaseId, path, query), signal })).entries
  }

  /** What a path is; a link is not followed. */
  async statFile(leaseId: string, path: string, signal?: AbortSignal): Promise<FileEntry> {
    checkFilePath(path)
    return (await this.connection.json(statResponse, { method: 'GET', path: paths.fileStat(leaseId, path), signal })).entry
  }

  async removeFile(
    leaseId: string,
    path: string,
    options: { recursive?: boolean | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    checkFilePath(path)
    const query = { recursive: options.recursive || undefined }
    await this.connection.empty({ method: 'DELETE', path: paths.file(leaseId, path, query), signal: options.signal })
  }

  /** Makes a folder and those above it. */
  async makeFolder(leaseId: string, path: string, signal?: AbortSignal): Promise<void> {
    checkFilePath(path)
    await this.connection.empty({ method: 'POST', path: paths.folder(leaseId, path), signal })
  }

  /** Unpacks a tar in a folder of the slot: all of it or nothing. */
  async uploadTar(
    leaseId: string,
    path: string,
    body: Buffer | Readable,
    options: Partial<TarBounds> & { signal?: AbortSignal | undefined } = {},
  ): Promise<TarResult> {
    checkFilePath(path)
    const { maxBytes, maxEntries, signal } = options
    const bytes = Buffer.isBuffer(body) ? body.length : undefined
    const route = paths.tar(leaseId, path, { maxBytes, maxEntries })
    return this.connection.json(tarResponse, { method: 'PUT', path: route, content: { body, bytes }, signal })
  }

  /** Streams a tar of a folder or a file out of the slot. What went wrong in the middle is the error of the stream. */
  async downloadTar(leaseId: string, path: string, signal?: AbortSignal): Promise<Readable> {
    checkFilePath(path)
    const { body } = await this.connection.send({ method: 'GET', path: paths.tar(leaseId, path), signal })
    return unframed(body, (error) => this.connection.failure(error, signal))
  }

  /**
   * `gone` is what is thrown by what is asked under a lease from then on, and by what is under way, where the server is known to be no
   * more. The ends of commands that it had told before are not thrown away.
   */
  async close(gone?: SlotpoolError): Promise<void> {
    if (gone) this.channels.closeAsGone(gone)
    else this.channels.close()
    await this.connection.close(gone)
  }
}

/** A short request: its answer is waited for no longer than a server takes that is well. */
function brief(method: RequestOptions['method'], path: string, signal: AbortSignal | undefined, json?: unknown): RequestOptions {
  return { method, path, json, signal, headersTimeoutMs: answerTimeoutMs }
}
