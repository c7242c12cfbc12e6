import { readGroupMeta } from '../../nomad/job-spec.ts'
import type { PoolGroup } from '../../nomad/pool-groups.ts'
import { type PoolVersion, versionId } from '../pool-version.ts'

/** The version of the containers of a group. What an image's name stands for on the nodes is not known: another image is one of another name. */
export function groupVersion({ generation, meta }: PoolGroup): PoolVersion {
  const read = readGroupMeta(meta)
  if (read === null) return { id: '', generation, image: null }
  return { id: versionId(read.shape, read.version), generation, image: read.shape.image }
}
