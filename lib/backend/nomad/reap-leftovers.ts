import { SlotpoolError } from '../../errors.ts'
import { jobIdOfVariable, poolVariablePath, tokenItem } from '../../nomad/job-spec.ts'
import { readJob } from '../../nomad/jobs.ts'
import { deleteVariable, listVariables, readVariable } from '../../nomad/variables.ts'
import type { NomadPool } from './nomad-pool.ts'

/** A token without a job is kept for so long: whoever made it may just be registering the job. Nomad's clock may differ from ours. */
const unusedTokenMs = 3_600_000

/**
 * Removes the tokens that managers left behind which died before they had registered their job, or in the middle of removing it. Jobs stay: a
 * pool is anybody's until it is taken down. The pool's own token is not touched. What it cannot remove stays for the next time; it never fails,
 * also where the token does not allow it.
 */
export async function reapLeftovers({ client, jobId }: Pick<NomadPool, 'client' | 'jobId'>, signal: AbortSignal): Promise<void> {
  try {
    for (const { Path: path, ModifyIndex: version, ModifyTime: ns } of await listVariables(client, poolVariablePath(''), signal)) {
      const job = jobIdOfVariable(path)
      if (job === undefined || job === jobId || Date.now() - ns / 1e6 < unusedTokenMs) continue
      if ((await readJob(client, job, signal)) !== null) continue
      const found = await readVariable(client, path, signal)
      // Whoever has put something else there has a use for it.
      if (found && Object.keys(found.Items).join() === tokenItem) await deleteVariable(client, path, version, signal)
    }
  } catch (error) {
    if (!(error instanceof SlotpoolError)) throw error
  }
}
