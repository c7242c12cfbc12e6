import type { Container } from '../backend/backend.ts'
import type { SandboxClient } from '../client/sandbox-client.ts'
import type { IsolationLevel, NetworkLevel } from '../wire/lease.ts'
import type { ServerStatus, SlotState } from '../wire/status.ts'
import type { ReadyContainer } from './containers.ts'

/** What `slotpool status --json` prints. */
export interface PoolStatus {
  pool: string
  backend: string
  /** The weakest isolation in force in any container; null when none serves. */
  isolation: IsolationLevel | null
  /** What the slots' network is; null when no container serves. */
  network: NetworkLevel | null
  containers: ContainerStatus[]
  totals: { containers: number; slots: number; leased: number; idle: number }
}

export interface ContainerStatus {
  id: string
  node: string
  state: 'starting' | 'ready' | 'dead' | 'unreachable'
  /** Why it is not ready, or why its isolation is not the strongest. */
  reason?: string
  slots: SlotStatus[]
}

export interface SlotStatus {
  slot: number
  state: SlotState
  task_id: string | null
  lease_id: string | null
  /** ISO 8601, or null. */
  expires_at: string | null
}

/** Asks every container that serves; one that does not answer is `unreachable`. */
export async function poolStatus(
  pool: string,
  backend: string,
  all: readonly Container[],
  ready: readonly ReadyContainer[],
  signal: AbortSignal | undefined,
): Promise<PoolStatus> {
  const clients = new Map(ready.map(({ container, client }) => [container.id, client]))
  const answers = await Promise.all(all.map((container) => ask(clients.get(container.id), signal)))
  const serving = answers.filter((answer) => typeof answer === 'object')
  const containers = all.map((container, at) => containerStatus(container, answers[at]))
  const slots = containers.flatMap((container) => container.slots)
  return {
    pool,
    backend,
    isolation: (['none', 'uid', 'jail'] as const).find((level) => serving.some((one) => one.isolation === level)) ?? null,
    network: serving[0]?.network ?? null,
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

function containerStatus(container: Container, answer: ServerStatus | string | undefined): ContainerStatus {
  const { id, node, state } = container
  if (answer === undefined) return { id, node, state, ...(container.reason ? { reason: container.reason } : {}), slots: [] }
  if (typeof answer === 'string') return { id, node, state: 'unreachable', reason: answer, slots: [] }
  return {
    id,
    node,
    state,
    ...(answer.isolationReason ? { reason: answer.isolationReason } : {}),
    slots: answer.slots.map(({ slot, state: slotState, lease }) => ({
      slot,
      state: slotState,
      task_id: lease?.taskId ?? null,
      lease_id: lease?.leaseId ?? null,
      expires_at: lease ? new Date(lease.expiresAtMs).toISOString() : null,
    })),
  }
}
