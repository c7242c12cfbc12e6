// Compiles the seccomp filter of slots into a folder, where this machine has what that takes: Docker's profile from Debian's
// golang-github-docker-docker-dev, and python3-seccomp. A package built without it leaves local slots without a filter; the image compiles its own.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

const profile = '/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json'

/** Undefined when the filter is there, else why it is not. */
export function compileSeccompFilter(folder) {
  if (!existsSync(profile)) return `${profile} is missing (Debian: golang-github-docker-docker-dev)`
  try {
    execFileSync('/usr/bin/python3', ['sandbox-image/seccomp-filter.py', profile, folder], { stdio: ['ignore', 'ignore', 'pipe'] })
    return undefined
  } catch (error) {
    return `${String(error.stderr ?? error.message)
      .trim()
      .split('\n')
      .at(-1)} (Debian: python3-seccomp)`
  }
}
