import type { Container } from '../backend/backend.ts'
import { earlierContainers, newestOf } from '../backend/pool-version.ts'
import type { SandboxClient } from '../client/sandbox-client.ts'
import type { IsolationLevel, NetworkLevel, RootKind } from '../wire/lease.ts'
import type { LimitsInForce } from '../wire/limits.ts'
import type { LeaseMetadata } from '../wire/metadata.ts'
import type { Provenance } from '../wire/provenance.ts'
import type { ServerStatus, SlotState } from '../wire/status.ts'
import type { ReadyContainer } from './containers.ts'
import { weakerLimits } from './weaker-limits.ts'

/** What `slotpool status --json` prints. */
export interface PoolStatus {
  pool: string
  backend: string
  /** What its containers are made of; null where that is no image, or none is there. */
  image: string | null
  /** The image that their sandbox server comes from; null when it is that of the containers. */
  tools_image: string | null
  /** The weakest isolation in force in any container; null when none serves. */
  isolation: IsolationLevel | null
  /** What the slots' root filesystem is, the weakest in any container; null when none serves. */
  root: RootKind | null
  /** What the slots' network is, the widest in any container; null when none serves. */
  network: NetworkLevel | null
  /** Why the network is not the one that was asked for, or null. */
  network_reason: string | null
  /** The limits that hold for each slot, the weakest of each in any container; null when none serves. */
  limits: LimitsInForce | null
  /** The newest version of the pool: eight hexadecimal digits, others for each configuration and image; null where there is none. */
  version: string | null
  /** What somebody changed by hand of what containers are made from, a line for each thing. */
  changed_by_hand: string[]
  containers: ContainerStatus[]
  totals: { containers: number; slots: number; leased: number; idle: number }
}

export interface ContainerStatus {
  id: string
  node: string
  /** What it was made with, as `version` of the pool; null where the backend does not tell. */
  version: string | null
  /** The image it was made with, as it was asked for; null where there is none. */
  image: string | null
  /** Whether it is to make room for one of a newer version. */
  earlier: boolean
  /** `draining`: it serves those who have a slot there, and gives no new lease for now; `retired`: nor ever again. */
  state: 'starting' | 'ready' | 'draining' | 'retired' | 'dead' | 'unreachable'
  /** Why it is not ready, or why its isolation is not the strongest. */
  reason?: string
  /** Exactly which image and sandbox server it runs, as far as that is known; left out where it does not answer. */
  provenance?: Provenance
  slots: SlotStatus[]
}

export interface SlotStatus {
  slot: number
  state: SlotState
  /** Why it failed, or is out of service (`quarantined`, `spent`); else null. */
  reason: string | null
  task_id: string | null
  lease_id: string | null
  owner: string | null
  metadata: LeaseMetadata | null
  /** ISO 8601, or null. */
  expires_at: string | null
}

/** Asks every container that serves; one that does not answer is `unreachable`. */
export async function poolStatus(
  of: Pick<PoolStatus, 'pool' | 'backend' | 'image' | 'tools_image'>,
  all: readonly Container[],
  ready: readonly ReadyContainer[],
  changedByHand: string[],
  signal: AbortSignal | undefined,
): Promise<PoolStatus> {
  const clients = new Map(ready.map(({ container, client }) => [container.id, client]))
  const answers = await Promise.all(all.map((container) => ask(clients.get(container.id), signal)))
  const serving = answers.filter((answer) => typeof answer === 'object')
  const earlier = earlierContainers(all)
  const containers = all.map((container, at) => containerStatus(container, answers[at], earlier.includes(container)))
  const slots = containers.flatMap((container) => container.slots)
  return {
    ...of,
    isolation: (['none', 'uid', 'jail'] as const).find((level) => serving.some((one) => one.isolation === level)) ?? null,
    root: (['shared', 'read-only', 'copy-on-write'] as const).find((kind) => serving.some((one) => one.root === kind)) ?? null,
    network: (['host', 'outbound', 'none'] as const).find((level) => serving.some((one) => one.network === level)) ?? null,
    network_reason: serving.find((one) => one.networkReason !== null)?.networkReason ?? null,
    limits: serving.length === 0 ? null : serving.map((one) => one.limits).reduce(weakerLimits),
    version: newestOf(all)?.id ?? null,
    changed_by_hand: changedByHand,
    containers,
    totals: {
      containers: containers.length,
      slots: slots.length,
      leased: slots.filter((slot) => slot.state === 'leased').length,
      idle: slots.filter((slot) => slot.state === 'idle').length,
    },
  }
}

/** The server's status, or in words why there is none. */
async function ask(client: SandboxClient | undefined, signal: AbortSignal | undefined): Promise<ServerStatus | string | undefined> {
  try {
    return await client?.status(signal)
  } catch (error) {
    return (error as Error).message
  }
}

function containerStatus(container: Container, answer: ServerStatus | string | undefined, earlier: boolean): ContainerStatus {
  const { id, node, state, version } = container
  const made = { version: version?.id ?? null, image: version?.image ?? null, earlier }
  if (answer === undefined) return { id, node, state, ...made, ...(container.reason ? { reason: container.reason } : {}), slots: [] }
  if (typeof answer === 'string') return { id, node, state: 'unreachable', ...made, reason: answer, slots: [] }
  return {
    id,
    node,
    state: state === 'ready' && answer.state !== 'serving' ? answer.state : state,
    ...made,
    ...(answer.isolationReason ? { reason: answer.isolationReason } : {}),
    provenance: answer.provenance,
    slots: answer.slots.map(({ slot, state: slotState, reason, lease }) => ({
      slot,
      state: slotState,
      reason,
      task_id: lease?.taskId ?? null,
      lease_id: lease?.leaseId ?? null,
      owner: lease?.owner ?? null,
      metadata: lease?.metadata ?? null,
      expires_at: lease ? new Date(lease.expiresAtMs).toISOString() : null,
    })),
  }
}
