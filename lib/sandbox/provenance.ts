import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ImageProvenance, imageFile, imageProvenance, type Provenance } from '../wire/provenance.ts'
import { serverVersion } from './version.ts'

/** Of a server that nobody told what its container's image is. */
export const ownProvenance: Provenance = { image: null, server: { version: serverVersion, digest: null } }

/** What the server of this process is, read once. The image is what whoever made the container noted down beside its token. */
export function readProvenance(tokenFile: string): Provenance {
  return { image: readImage(join(dirname(tokenFile), imageFile)), server: { version: serverVersion, digest: programDigest() } }
}

function readImage(file: string): ImageProvenance | null {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // It has none, as a server on a host.
    return null
  }
  return imageProvenance.parse(JSON.parse(text))
}

/** From the sources there is no program. */
function programDigest(): string | null {
  if (serverVersion === 'source') return null
  return `sha256:${createHash('sha256')
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest('hex')}`
}
