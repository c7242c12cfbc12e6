import type { Bench } from '../bench.ts'
import type { Cleanup } from '../cleanup.ts'

/** How a command ended. */
export interface Outcome {
  stdout: string
  exitCode: number | null
  /** What it took by the peer's own clock, where the command goes through a driver; else the caller's clock counts. */
  elapsedMs?: number
}

/** A system that is ready for commands. */
export interface Peer {
  version: string
  /** What of opening it is the benchmark's doing, not the system's: the start of a driver that only starts programs. */
  driverMs?: number
  /** Runs a command in one of its sandboxes. */
  run(command: string, sandbox?: number): Promise<Outcome>
  /** Runs a command whose stdout is counted as it comes and kept nowhere. */
  stream?(command: string, hashed: boolean): Promise<Streamed>
  /** Runs a command that prints `expected` so often, so many at a time, with the peer's own means; resolves with the milliseconds. */
  batch?(command: string, expected: string, count: number, concurrency: number): Promise<number>
}

/** What came of a command's stdout. */
export interface Streamed {
  bytes: number
  exitCode: number | null
  elapsedMs: number
  /** Null unless it was asked for: hashing takes longer than some streams. */
  sha256: string | null
}

/** A system that commands can be run with instead. */
export interface PeerKind {
  name: string
  /** What keeps one command or sandbox from another. */
  isolation: string
  /** It keeps no output in memory that it can hand on instead. */
  streams: boolean
  /**
   * @param scope undoes all that was made.
   * @param sandboxes how many commands run at a time at most.
   * @throws {MissingPeer} when it is not installed here.
   */
  open(bench: Bench, scope: Cleanup, sandboxes: number): Promise<Peer>
}

/** A peer is not there; the message says what is missing and how to get it. */
export class MissingPeer extends Error {}
