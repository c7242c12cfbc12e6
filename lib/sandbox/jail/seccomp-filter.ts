import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * The compiled seccomp filter for slots, or null where there is none: Docker's own profile for a container without added capabilities. It lies
 * beside the sandbox server: in the image, where jails take a container that runs unconfined, and in a package that was built where the
 * profile could be had (`scripts/seccomp-filter.js`).
 */
export function seccompFilter(): string | null {
  const file = fileURLToPath(new URL(`seccomp-${process.arch}.bpf`, import.meta.url))
  return existsSync(file) ? file : null
}
