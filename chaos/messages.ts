import type { Container } from '../lib/backend/backend.ts'
import type { SlotPoolOptions } from '../lib/config.ts'
import type { ErrorBody, ErrorCode } from '../lib/errors.ts'
import type { FailureKind } from '../lib/failure.ts'
import type { Endpoint } from '../lib/wire/endpoint.ts'
import type { Said } from './command-text.ts'
import type { TaskPlan } from './task-plan.ts'

/** How a command ended, as the manager that asked for it was told. */
export interface CommandResult {
  /** What it failed of; null when it succeeded. */
  failure: FailureKind | null
  /** Of the error that was thrown; null when there was a result. */
  code: ErrorCode | null
  message: string
  exitCode: number | null
  /** The signal that ended it. */
  signal: string | null
  /** As its server measured it; null where that did not say. */
  durationMs: number | null
  /** Some of its output was not had. */
  truncated: boolean
  said: Said
}

/** Why a task ended before all its commands had. */
export interface TaskFailure {
  failure: FailureKind
  code: ErrorCode
  message: string
  /** What it was at. */
  at: 'lease' | 'command' | 'release'
}

/** Where a task is that somebody has to go on with. */
export interface TaskSoFar {
  /** The lease that it had; null when nobody is known to have got one. */
  leaseId: string | null
  /** Its next command, or the one that is under way. One more than it has: all have ended. */
  next: number
}

/** What a manager asks its supervisor. */
export interface Questions {
  /** The way to a container's server that can be cut. */
  route: { container: Pick<Container, 'id'>; endpoint: Endpoint }
  /** Of a backend that is in the supervisor: a method and its arguments, signals left out. */
  backend: { method: string; args: unknown[] }
}

export type ToManager =
  | { type: 'open'; options: SlotPoolOptions; backend: 'own' | 'supervisor'; mark: string }
  | { type: 'task'; task: TaskPlan; soFar: TaskSoFar }
  | { type: 'answer'; id: number; value?: unknown; error?: ErrorBody }
  | { type: 'end' }

export type FromManager =
  | { type: 'ready' }
  | { type: 'unable'; error: ErrorBody }
  | { type: 'leased'; task: string; leaseId: string; containerId: string }
  | { type: 'asking'; task: string; command: number }
  | { type: 'result'; task: string; command: number; result: CommandResult }
  | { type: 'ended'; task: string; failure: TaskFailure | null }
  | { type: 'ask'; id: number; question: { [K in keyof Questions]: { kind: K } & Questions[K] }[keyof Questions] }
