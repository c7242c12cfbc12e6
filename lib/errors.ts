import type { FailureKind } from './failure.ts'

/**
 * Every error slotpool can give, in one table. `docs/errors.md` explains each row; a test keeps the two in step.
 *
 * - `status`: the HTTP status with which the sandbox server (and the daemon) answers.
 * - `exitCode`: what the CLI exits with: 2 for wrong usage, 125 for a failure of slotpool.
 * - `retryable`: whether the same call may succeed later without anything being changed by hand.
 * - `failure`: what a command failed of that ended in it: see {@link FailureKind}.
 * - `advice`: what to do, in one sentence.
 */
export const errorTable = {
  CONFIG_UNKNOWN_VARIABLE: {
    status: 400,
    exitCode: 2,
    retryable: false,
    failure: 'lost',
    advice: 'Correct the name of the variable to the one the message suggests, or unset it.',
  },
  CONFIG_INVALID: {
    status: 400,
    exitCode: 2,
    retryable: false,
    failure: 'lost',
    advice: 'Give the named variable or option a value of the kind the message expects.',
  },
  MOUNT_INVALID: {
    status: 400,
    exitCode: 2,
    retryable: false,
    failure: 'lost',
    advice: 'Correct the mount that the message names, or let TERMINAL_MOUNT_ALLOW name its folder.',
  },
  USAGE: { status: 400, exitCode: 2, retryable: false, failure: 'lost', advice: 'Read `--help` of the command and correct its arguments.' },

  REQUEST_INVALID: {
    status: 400,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Correct the field that the message names.',
  },
  ROUTE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false, failure: 'lost', advice: 'Ask for one of the documented paths.' },
  UNAUTHORIZED: {
    status: 401,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Use the user and HOME that made this pool, another TERMINAL_POOL, or end it with `slotpool down`.',
  },
  PROTOCOL_MISMATCH: {
    status: 426,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Update the older side: the client, or the image followed by `slotpool down`.',
  },
  OUTPUT_FAILED: {
    status: 500,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Make room where the output goes, or send it elsewhere.',
  },
  INTERNAL: {
    status: 500,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Report it as a bug of slotpool, with the message and its cause.',
  },

  COMMAND_INVALID: {
    status: 400,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Correct the command; write a long one to a file in the slot and run that.',
  },
  COMMAND_REFUSED: {
    status: 403,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Use another command, or set `force` if a person agrees to this one.',
  },
  ENV_INVALID: {
    status: 400,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Correct the name or the value of the variable that the message names.',
  },
  CWD_NOT_FOUND: {
    status: 400,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Make the folder in the slot first, or name one that is there.',
  },
  EXECUTION_NOT_FOUND: {
    status: 404,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Ask while the lease lives, with the id that the execution was started with.',
  },
  EXECUTION_CONFLICT: {
    status: 409,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Use a new execution id for another command.',
  },
  EXECUTION_RESULT_DROPPED: {
    status: 410,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Ask for a result within ten minutes, and check what the command has changed before running it again.',
  },
  EXECUTION_OUTCOME_UNKNOWN: {
    status: 502,
    exitCode: 125,
    retryable: false,
    failure: 'unknown',
    advice: 'Check what the command has changed before deciding to run it again.',
  },
  FILE_NOT_FOUND: {
    status: 404,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Check the path; a relative one starts at the workspace.',
  },
  FILE_FAILED: {
    status: 400,
    exitCode: 125,
    retryable: false,
    failure: 'command',
    advice: 'Choose a path that the user of the slot may use, as the message says.',
  },
  FILE_TOO_LARGE: { status: 413, exitCode: 125, retryable: false, failure: 'command', advice: 'Stream the file, or cut it into parts.' },

  TASK_NOT_FOUND: {
    status: 404,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Check the task id with `slotpool status`; there is nothing to release.',
  },
  LEASE_NOT_FOUND: { status: 404, exitCode: 125, retryable: false, failure: 'lost', advice: 'Lease the task again; its old slot is gone.' },
  LEASE_OWNER_MISMATCH: {
    status: 409,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Use another task id, or the owner that holds the lease.',
  },
  LEASE_CONTENDED: { status: 409, exitCode: 125, retryable: true, failure: 'lost', advice: 'Try again in a moment.' },
  ROSTER_CHANGED: {
    status: 409,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Ask for the roster that is in force, and try again.',
  },
  LEASE_LOST: {
    status: 410,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Lease the task again and set its workspace up anew.',
  },
  SLOT_UNAVAILABLE: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Try again when a slot is released, or ask the pool for a lease and let it wait.',
  },
  POOL_FULL: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Release slots, wait longer, or raise TERMINAL_NOMAD_MAX.',
  },
  POOL_CLOSED: { status: 409, exitCode: 125, retryable: false, failure: 'lost', advice: 'Open the pool again.' },
  POOL_CONFIG_MISMATCH: {
    status: 409,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Change the pool with `slotpool up --roll`, run `slotpool down` first, or use another TERMINAL_POOL.',
  },
  POOL_CHANGED_BY_HAND: {
    status: 409,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Look at `slotpool nomad plan`; `slotpool up --roll --force` gives up what was changed by hand.',
  },
  CANCELLED: { status: 499, exitCode: 125, retryable: true, failure: 'cancelled', advice: 'Ask again if the result is still wanted.' },

  ISOLATION_UNAVAILABLE: {
    status: 503,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Run `slotpool doctor` and do what it says of bubblewrap.',
  },
  JAIL_FAILED: { status: 500, exitCode: 125, retryable: true, failure: 'lost', advice: 'Try again; run `slotpool doctor` if it stays.' },
  SERVER_START_FAILED: {
    status: 500,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Mend what the end of its log in the message names.',
  },
  SERVER_UNREACHABLE: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Try again; look at `slotpool status` if it stays.',
  },
  BACKEND_UNAVAILABLE: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Mend what the message names, or choose another TERMINAL_ENV.',
  },
  CONTAINER_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Read the container’s last lines in the message, then run `slotpool down` and try again.',
  },

  DOCKER_UNAVAILABLE: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Run the command in the message, or `slotpool doctor`.',
  },
  DOCKER_REQUEST_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Mend what the engine says in the message, then try again.',
  },
  IMAGE_NOT_FOUND: {
    status: 404,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Run `slotpool image build`, or set TERMINAL_NOMAD_IMAGE to an image that is there.',
  },
  IMAGE_PULL_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Try again, or put the image on the node ahead.',
  },
  IMAGE_BUILD_FAILED: {
    status: 500,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Mend the step that the message names, or give another `--base`.',
  },
  REF_NOT_FOUND: {
    status: 404,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Check the reference with `slotpool image list`, or pull or build the image first.',
  },
  NOT_IMPLEMENTED: {
    status: 501,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Do it the other way that the message names.',
  },
  REGISTRY_UNAUTHORIZED: {
    status: 401,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Run `docker login` for the registry that the message names, with a user who may do this.',
  },
  REGISTRY_REQUEST_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Mend what the registry says in the message, then try again.',
  },
  DIGEST_MISMATCH: {
    status: 502,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Pull the image anew; if it stays, what is stored at the place that the message names is damaged.',
  },
  IMAGE_STORE_FAILED: {
    status: 500,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Mend the file or folder that the message names, or give it room.',
  },

  NOMAD_UNAVAILABLE: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Start an agent, or correct TERMINAL_NOMAD_ADDRESS; `slotpool doctor` says which.',
  },
  NOMAD_FORBIDDEN: {
    status: 403,
    exitCode: 125,
    retryable: false,
    failure: 'lost',
    advice: 'Set NOMAD_TOKEN to a token whose policy allows what the message names.',
  },
  NOMAD_REQUEST_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Mend what Nomad says in the message, then try again.',
  },
  NOMAD_CONFLICT: {
    status: 409,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Try again; somebody else changed the same thing at that moment.',
  },
  NOMAD_PLACEMENT_FAILED: {
    status: 503,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Give the cluster room, or lower TERMINAL_NOMAD_MIN.',
  },
  NOMAD_TASK_FAILED: {
    status: 502,
    exitCode: 125,
    retryable: true,
    failure: 'lost',
    advice: 'Mend what the last lines in the message name, then try again.',
  },
} as const satisfies Record<string, { status: number; exitCode: 2 | 125; retryable: boolean; failure: FailureKind; advice: string }>

/** A stable error code: a key of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable

/** The JSON form of an error, as it crosses the wire and as `--json` prints it. */
export interface ErrorBody {
  code: ErrorCode
  message: string
  retryable: boolean
  /** What a command failed of that ended in it. Left out by older peers. */
  failure?: FailureKind
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

  /** What a command failed of that ended in this error. */
  get failure(): FailureKind {
    return errorTable[this.code].failure
  }

  /** What to do about an error of this code, in one sentence; the message may know something better fitting. */
  get advice(): string {
    return errorTable[this.code].advice
  }

  toJSON(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message, retryable: this.retryable, failure: this.failure }
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
