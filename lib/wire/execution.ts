import { z } from 'zod'
import { executionId, leaseId } from './lease.ts'
import { limitNames } from './limits.ts'

/**
 * The longest command, in bytes of UTF-8. Linux takes 128 KiB for one argument of a program, its final NUL included
 * (MAX_ARG_STRLEN, execve(2)), and a command is the argument of `bash -c`.
 */
export const maxCommandBytes = 131_071

/** Which time was up: that of the whole command, or that of its silence. */
export const timeoutKinds = ['total', 'no-output'] as const
export type TimeoutKind = (typeof timeoutKinds)[number]

const noNul = (text: string): boolean => !text.includes('\0')

/** What one command is run with, in the slot of a lease. */
export const executionRequest = z.strictObject({
  /** What `bash -c` gets. */
  command: z.string(),
  /** Where it starts; a relative path starts at the workspace. Default: the workspace. */
  cwd: z.string().min(1).max(4096).refine(noNul, 'expected no NUL byte').optional(),
  /** Added to the slot's environment: `checkEnv` says what can be in one. */
  env: z.record(z.string(), z.string()).optional(),
  /** Names in `env` that are passed on although they are reserved or look like a key of somebody's. */
  allowEnv: z.array(z.string()).max(1000).default([]),
  /** The command and all that it started end after so long. */
  timeoutMs: z.int().min(1).max(2_147_483_000),
  /** They also end when nothing was written to stdout or stderr for so long. Default: never. */
  noOutputTimeoutMs: z.int().min(1).max(2_147_483_000).optional(),
  /** Send stderr into stdout, in the order in which the command wrote. */
  mergeStderr: z.boolean().default(false),
})
export type ExecutionRequest = z.input<typeof executionRequest>
export type CheckedExecutionRequest = z.output<typeof executionRequest>

/** Where the time of an execution went at the server, in milliseconds, besides that of the command itself. */
export const serverPhases = z.object({
  /** From when the server had the request until the command was on its way into the slot. */
  queueMs: z.number(),
  /** From then until it was in there. */
  enterMs: z.number(),
  /** From the end of the command until the last of its output was read. */
  drainMs: z.number(),
})

/** Whether an attempt at an execution that is refused from now on had not come by then. */
export const refusalAnswer = z.object({ refused: z.boolean() })

/** How an execution ended. Exactly one of `exitCode` and `signal` is set. */
export const executionEnd = z.object({
  executionId: z.string(),
  /** What bash exited with; null when a signal ended it. */
  exitCode: z.int().min(0).max(255).nullable(),
  /** The signal that ended it, such as `SIGKILL`, else null. */
  signal: z.string().nullable(),
  /** The time was up: the command and all that it started were ended. */
  timedOut: z.boolean(),
  /** Which time was up; null where none was. */
  timeout: z.enum(timeoutKinds).nullable(),
  /** A limit of the slot that was reached while the command ran, the one that mattered most; null where none was. */
  limit: z.enum(limitNames).nullable(),
  /** Names in the request's `env` that were not passed on: reserved ones, and those that look like a key, unless `allowEnv` has them. */
  skippedEnv: z.array(z.string()),
  /** Somebody asked for it to be ended. */
  cancelled: z.boolean(),
  /** From the start of the command to its end, in milliseconds. */
  durationMs: z.number(),
  phases: serverPhases,
  /** Bytes that the command wrote, whether or not they were still held for this reader. */
  stdoutBytes: z.number(),
  stderrBytes: z.number(),
})
export type ExecutionEnd = z.infer<typeof executionEnd>

/** Asks over a channel for an execution, which is answered by its output and its end. */
export const channelRequest = z.strictObject({
  leaseId,
  /** Made by the client. An id is run once: a second request for it joins the first. */
  executionId,
  /** From where its output is wanted, in bytes: what the reader already has. */
  stdout: z.int().min(0).default(0),
  stderr: z.int().min(0).default(0),
  /** What is run. Without it, an execution is followed that runs, or ran. */
  request: executionRequest.optional(),
  /** Another word each time that somebody asks for it to be run: by it the one is refused that may still be on its way, and no other. */
  attempt: executionId.optional(),
})
export type ChannelRequest = z.input<typeof channelRequest>
export type CheckedChannelRequest = z.output<typeof channelRequest>

/** From where a reader wants the output of an execution: bytes it already has. */
export type OutputOffsets = Pick<CheckedChannelRequest, 'stdout' | 'stderr'>
