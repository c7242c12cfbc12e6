import type { NomadClient } from './client.ts'

/**
 * The end of what a task wrote to stderr, at most `maxBytes`, from the node that ran it. The empty string when there is no log.
 */
export async function stderrTail(
  client: NomadClient,
  allocationId: string,
  task: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<string> {
  return client.text({
    path: `/v1/client/fs/logs/${encodeURIComponent(allocationId)}`,
    query: { task, type: 'stderr', plain: true, origin: 'end', offset: maxBytes, follow: false },
    purpose: `read the log of task ${task}`,
    signal,
  })
}
