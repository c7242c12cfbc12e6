import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'

/** A tar to be unpacked at a container's root: the token in `folder`, as a file that only the container's root may read. */
export async function tokenArchive(token: string, folder: string): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name: `${folder}/`, type: 'directory', mode: 0o700, uid: 0, gid: 0 })
  tar.entry({ name: `${folder}/token`, mode: 0o600, uid: 0, gid: 0 }, token)
  tar.finalize()
  return buffer(tar)
}
