/**
 * The protocol between pool and sandbox server: HTTP/1.1 over a Unix socket or TCP, and channels of frames. `docs/protocol.md` describes it.
 *
 * Each side sends this number with every message. It goes up when an older peer would misunderstand a newer one.
 */
export const protocolVersion = 6

/** Request and response header that carries {@link protocolVersion}. */
export const protocolHeader = 'slotpool-protocol'

/** Response header that carries the boot id of the sandbox server. */
export const bootHeader = 'slotpool-boot'

/** What a connection becomes that is upgraded at `paths.channel`: a channel of frames (`frames.ts`), over which commands are run. */
export const channelName = 'slotpool-channel'

/** After so long of silence on a channel each end has its kernel ask whether the other is still there. */
export const channelKeepAliveMs = 60_000

/** Media type of a stream of frames. */
export const framesMediaType = 'application/vnd.slotpool.frames'

/** The paths of the sandbox server. All but `health` need the bearer token. */
export const paths = {
  health: '/healthz',
  status: '/v1/status',
  idle: '/v1/idle',
  load: '/v1/load',
  draining: '/v1/draining',
  retire: '/v1/retire',
  leases: '/v1/leases',
  leaseOfTask: (taskId: string) => `/v1/leases?taskId=${encodeURIComponent(taskId)}`,
  /** The lease that a task has, here or elsewhere, as its home knows it. */
  taskAtHome: (taskId: string, roster: string) => `/v1/leases?taskId=${encodeURIComponent(taskId)}&roster=${roster}`,
  roster: '/v1/roster',
  /** The roster, without its containers where it is the one of that id. */
  rosterUnless: (known: string) => `/v1/roster?known=${known}`,
  openRoster: '/v1/roster/open',
  whereabouts: '/v1/whereabouts',
  noted: (taskId: string, leaseId: string) => `/v1/whereabouts?taskId=${encodeURIComponent(taskId)}&leaseId=${leaseId}`,
  lease: (leaseId: string) => `/v1/leases/${leaseId}`,
  /** Ends a lease only while nobody has confirmed it. */
  provisionalLease: (leaseId: string) => `/v1/leases/${leaseId}?provisional=true`,
  /** Ends a lease only while nobody else has asked for it. */
  unsharedLease: (leaseId: string) => `/v1/leases/${leaseId}?unshared=true`,
  renew: (leaseId: string) => `/v1/leases/${leaseId}/renew`,
  confirm: (leaseId: string) => `/v1/leases/${leaseId}/confirm`,
  channel: '/v1/channel',
  refusedAttempt: (leaseId: string, executionId: string, attempt: string) =>
    `/v1/leases/${leaseId}/executions/${executionId}/attempts/${attempt}/refuse`,
  execution: (leaseId: string, executionId: string) => `/v1/leases/${leaseId}/executions/${executionId}`,
  file: (leaseId: string, path: string, options: FileOptions = {}) => `/v1/leases/${leaseId}/files?${fileOptions(path, options)}`,
  fileList: (leaseId: string, path: string, options: FileOptions) => `/v1/leases/${leaseId}/files/list?${fileOptions(path, options)}`,
  fileStat: (leaseId: string, path: string) => `/v1/leases/${leaseId}/files/stat?${fileOptions(path)}`,
  folder: (leaseId: string, path: string) => `/v1/leases/${leaseId}/files/folder?${fileOptions(path)}`,
  tar: (leaseId: string, path: string, options: FileOptions = {}) => `/v1/leases/${leaseId}/files/tar?${fileOptions(path, options)}`,
} as const

/** The largest JSON body that the sandbox server reads: a command, its environment and room to spare. */
export const maxJsonBytes = 1024 * 1024

/** What a route for files takes beside its path; `files.ts` has the schemas. */
type FileOptions = Record<string, number | true | undefined>

function fileOptions(path: string, options: FileOptions = {}): string {
  const query = [`path=${encodeURIComponent(path)}`]
  for (const [name, value] of Object.entries(options)) if (value !== undefined) query.push(`${name}=${value}`)
  return query.join('&')
}
