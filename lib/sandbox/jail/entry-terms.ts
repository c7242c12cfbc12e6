/** Limits that each process has for itself (getrlimit(2)), by their numbers on Linux (asm-generic/resource.h). */
const resourceNumbers = { fsize: 1, core: 4, nproc: 6, nofile: 7 } as const
export type ResourceName = keyof typeof resourceNumbers

/** How bash's `ulimit` calls each, and the bytes of its unit. */
const ulimitOptions: Record<ResourceName, [option: string, unitBytes: number]> = {
  fsize: ['-f', 1024],
  core: ['-c', 1024],
  nproc: ['-u', 1],
  nofile: ['-n', 1],
}

/** What holds for a program from before it is in the slot. */
export interface EntryTerms {
  /** Files that a process writes to in order to join the control groups of the slot. Default: none. */
  joinFiles?: readonly string[]
  /** The program goes where it wants to by itself; without its workspace, which a tenant may have removed, it starts at `/`. Default: false. */
  startsAnywhere?: boolean
  /** Limits of the process and of all that it starts; none may be above what the server has. Default: the server's own. */
  resourceLimits?: Partial<Record<ResourceName, number>>
}

/** Its resource limits, one a line: the number of the resource, a colon, the value. */
export function resourceLimitsText({ resourceLimits = {} }: EntryTerms): string {
  return Object.entries(resourceLimits)
    .map(([name, value]) => `${resourceNumbers[name as ResourceName]}:${value}`)
    .join('\n')
}

/**
 * The program and arguments that join and limit themselves on the server's side and then become the given program, in the same process. When
 * that fails the program is not run, and the exit code is 125.
 */
export function underTerms(terms: EntryTerms, program: { file: string; args: string[] }): { file: string; args: string[] } {
  const steps = [
    ...(terms.joinFiles ?? []).map((file) => `echo 0 > '${file.replaceAll("'", "'\\''")}'`),
    ...Object.entries(terms.resourceLimits ?? {}).map(([name, value]) => {
      const [option, unitBytes] = ulimitOptions[name as ResourceName]
      return `ulimit ${option} ${Math.floor(value / unitBytes)}`
    }),
  ]
  if (steps.length === 0) return program
  const script = `{ ${steps.join(' && ')}; } || exit 125; exec "$@"`
  return { file: 'bash', args: ['--norc', '--noprofile', '-c', script, 'slotpool', program.file, ...program.args] }
}
