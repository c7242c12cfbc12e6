import { existsSync } from 'node:fs'

/**
 * The filter that the image brings: Docker's own profile for a container without added capabilities, compiled when the image is built
 * (`sandbox-image/Dockerfile`). Where the container runs unconfined so that jails can be made, slots get it back.
 */
const imageFilter = '/opt/slotpool/seccomp.bpf'

/** The compiled filter for slots, or null where there is none. */
export function seccompFilter(): string | null {
  return existsSync(imageFilter) ? imageFilter : null
}
