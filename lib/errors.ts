/**
 * Every error slotpool can give, in one table. `docs/errors.md` explains each row; a test keeps the two in step.
 *
 * - `status`: the HTTP status with which the sandbox server (and the daemon) answers.
 * - `exitCode`: what the CLI exits with: 2 for wrong usage, 125 for a failure of slotpool.
 * - `retryable`: whether the same call may succeed later without anything being changed by hand.
 */
export const errorTable = {
  CONFIG_UNKNOWN_VARIABLE: { status: 400, exitCode: 2, retryable: false },
  CONFIG_INVALID: { status: 400, exitCode: 2, retryable: false },
  USAGE: { status: 400, exitCode: 2, retryable: false },

  REQUEST_INVALID: { status: 400, exitCode: 125, retryable: false },
  ROUTE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  UNAUTHORIZED: { status: 401, exitCode: 125, retryable: false },
  PROTOCOL_MISMATCH: { status: 426, exitCode: 125, retryable: false },
  INTERNAL: { status: 500, exitCode: 125, retryable: false },

  COMMAND_INVALID: { status: 400, exitCode: 125, retryable: false },
  COMMAND_REFUSED: { status: 403, exitCode: 125, retryable: false },
  CWD_NOT_FOUND: { status: 400, exitCode: 125, retryable: false },
  EXECUTION_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  EXECUTION_CONFLICT: { status: 409, exitCode: 125, retryable: false },
  EXECUTION_OUTCOME_UNKNOWN: { status: 502, exitCode: 125, retryable: false },
  FILE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  FILE_FAILED: { status: 400, exitCode: 125, retryable: false },
  FILE_TOO_LARGE: { status: 413, exitCode: 125, retryable: false },

  TASK_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  LEASE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  LEASE_OWNER_MISMATCH: { status: 409, exitCode: 125, retryable: false },
  LEASE_CONTENDED: { status: 409, exitCode: 125, retryable: true },
  LEASE_LOST: { status: 410, exitCode: 125, retryable: false },
  SLOT_UNAVAILABLE: { status: 503, exitCode: 125, retryable: true },
  POOL_FULL: { status: 503, exitCode: 125, retryable: true },
  POOL_CLOSED: { status: 409, exitCode: 125, retryable: false },
  POOL_CONFIG_MISMATCH: { status: 409, exitCode: 125, retryable: false },
  CANCELLED: { status: 499, exitCode: 125, retryable: true },

  ISOLATION_UNAVAILABLE: { status: 503, exitCode: 125, retryable: false },
  JAIL_FAILED: { status: 500, exitCode: 125, retryable: true },
  SERVER_START_FAILED: { status: 500, exitCode: 125, retryable: false },
  SERVER_UNREACHABLE: { status: 502, exitCode: 125, retryable: true },
  BACKEND_UNAVAILABLE: { status: 503, exitCode: 125, retryable: true },
  CONTAINER_FAILED: { status: 502, exitCode: 125, retryable: true },

  DOCKER_UNAVAILABLE: { status: 503, exitCode: 125, retryable: true },
  DOCKER_REQUEST_FAILED: { status: 502, exitCode: 125, retryable: true },
  IMAGE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false },
  IMAGE_PULL_FAILED: { status: 502, exitCode: 125, retryable: true },
  IMAGE_BUILD_FAILED: { status: 500, exitCode: 125, retryable: false },

  NOMAD_UNAVAILABLE: { status: 503, exitCode: 125, retryable: true },
  NOMAD_FORBIDDEN: { status: 403, exitCode: 125, retryable: false },
  NOMAD_REQUEST_FAILED: { status: 502, exitCode: 125, retryable: true },
  NOMAD_CONFLICT: { status: 409, exitCode: 125, retryable: true },
  NOMAD_PLACEMENT_FAILED: { status: 503, exitCode: 125, retryable: true },
  NOMAD_TASK_FAILED: { status: 502, exitCode: 125, retryable: true },
} as const satisfies Record<string, { status: number; exitCode: 2 | 125; retryable: boolean }>

/** A stable error code: a key of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable

/** The JSON form of an error, as it crosses the wire and as `--json` prints it. */
export interface ErrorBody {
  code: ErrorCode
  message: string
  retryable: boolean
  details?: Record<string, unknown>
}

/** The one error class of slotpool. `message` says what was got and what was expected; `cause` is what it came from. */
export class SlotpoolError extends Error {
  /** Stable, documented in `docs/errors.md`. */
  readonly code: ErrorCode
  /** Whether the same call may succeed later without anything being changed by hand. */
  readonly retryable: boolean
  /** Facts for programs, such as `{ variable, got, expected }`. Never a secret. */
  readonly details: Record<string, unknown>

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown>; retryable?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SlotpoolError'
    this.code = code
    this.retryable = options.retryable ?? errorTable[code].retryable
    this.details = options.details ?? {}
  }

  /** The HTTP status of this error's code. */
  get status(): number {
    return errorTable[this.code].status
  }

  /** The CLI's exit code for this error: 2 for wrong usage, else 125. */
  get exitCode(): 2 | 125 {
    return errorTable[this.code].exitCode
  }

  toJSON(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message, retryable: this.retryable }
    if (Object.keys(this.details).length > 0) body.details = this.details
    return body
  }

  /** The error that a peer sent. A code this version does not know becomes `INTERNAL`, its name kept in the message. */
  static fromBody(body: {
    code: string
    message: string
    retryable: boolean
    details?: Record<string, unknown> | undefined
  }): SlotpoolError {
    const known = Object.hasOwn(errorTable, body.code)
    const options = { retryable: body.retryable, ...(body.details ? { details: body.details } : {}) }
    return known
      ? new SlotpoolError(body.code as ErrorCode, body.message, options)
      : new SlotpoolError('INTERNAL', `${body.code}: ${body.message}`, options)
  }

  /** `error` itself when it is ours, else an `INTERNAL` error with it as the cause. */
  static from(error: unknown): SlotpoolError {
    if (error instanceof SlotpoolError) return error
    const message = error instanceof Error ? error.message : String(error)
    return new SlotpoolError('INTERNAL', `unexpected failure: ${message}`, { cause: error })
  }
}
