import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { secretsFolder } from './container-spec.ts'

/** A tar to be unpacked at a container's root: the token as a file that only the container's root may read. */
export async function tokenArchive(token: string): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name: `${secretsFolder}/`, type: 'directory', mode: 0o700, uid: 0, gid: 0 })
  tar.entry({ name: `${secretsFolder}/token`, mode: 0o600, uid: 0, gid: 0 }, token)
  tar.finalize()
  return buffer(tar)
}
