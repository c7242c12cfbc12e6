import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { type ImageProvenance, imageFile } from '../../wire/provenance.ts'

/** A tar to be unpacked at a container's root: in `folder` the token, and what the image is, as files that only the container's root may read. */
export async function tokenArchive(token: string, folder: string, image: ImageProvenance): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name: `${folder}/`, type: 'directory', mode: 0o700, uid: 0, gid: 0 })
  tar.entry({ name: `${folder}/token`, mode: 0o600, uid: 0, gid: 0 }, token)
  tar.entry({ name: `${folder}/${imageFile}`, mode: 0o600, uid: 0, gid: 0 }, JSON.stringify(image))
  tar.finalize()
  return buffer(tar)
}
