import type { NomadClient } from '../../nomad/client.ts'
import type { PoolJob } from '../../nomad/job-spec.ts'
import type { Notice } from '../provider.ts'

/** What the parts of the nomad backend share: one pool, and the connection through which it is managed. */
export interface NomadPool {
  client: NomadClient
  /** The job that is the pool. */
  jobId: string
  /** What the job is made from when there is none; the count is added then. */
  job: Omit<PoolJob, 'count'>
  token: PoolToken
  /** Runs of allocations whose sandbox server answered. None comes again, so what answered once counts as started. */
  answered: Set<string>
  notice: Notice
}

/** The pool's token, as {@link NomadPool} needs it. */
export interface PoolToken {
  /** The token, made when there is none. */
  ensure(signal?: AbortSignal): Promise<string>
  /** Takes back what `ensure` made; a token that somebody else made stays. */
  undo(signal?: AbortSignal): Promise<void>
  /** Removes the token, whoever made it; and puts it back where it is `needed` then, by who found it before it went. */
  remove(needed: () => Promise<boolean>, signal?: AbortSignal): Promise<void>
}
