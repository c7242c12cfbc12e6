import { z } from 'zod'

/** Where Nomad may put a pool's containers, and what it keeps free for each. What is left out is as Nomad, or slotpool, has it by default. */
export interface Placement {
  /** `TERMINAL_NOMAD_DATACENTERS` (between commas), default `*`: any; wildcards as Nomad has them. */
  datacenters?: readonly string[]
  /** `TERMINAL_NOMAD_NODE_POOL`, default `default`. */
  nodePool?: string
  /**
   * `TERMINAL_NOMAD_CONSTRAINTS` (between semicolons or newlines), default none: what a node must be like, each as ATTRIBUTE OPERATOR VALUE, such as
   * `${attr.kernel.name} = linux`, `${meta.gpu} is_set` or `distinct_hosts`.
   */
  constraints?: readonly string[]
  /** `TERMINAL_NOMAD_PRIORITY`, 1 to 100, default 50: which job gets room first. */
  priority?: number
  /** `TERMINAL_NOMAD_CPU_MHZ`, default 100: a share among containers that compete, and no ceiling. Not with `cores`. */
  cpuMhz?: number
  /** `TERMINAL_NOMAD_CORES`, default none: whole cores that are a container's own. */
  cores?: number
  /** `TERMINAL_NOMAD_MEMORY_MB`, default 512: MiB that a node must have free. */
  memoryMb?: number
  /** `TERMINAL_NOMAD_MEMORY_MAX_MB`, default 1,024 for each slot above that: MiB at which the kernel ends a container's processes. */
  memoryMaxMb?: number
}

/** MiB that a node must have free, unless told otherwise: the server itself, its jails and some commands in them. */
export const reservedMemoryMb = 512

export const placementNames = ['datacenters', 'nodePool', 'constraints', 'priority', 'cpuMhz', 'cores', 'memoryMb', 'memoryMaxMb'] as const

const text = z.string().regex(/^[\w*?.-]+$/, 'expected names of datacenters, between commas')

/** As an option has them. */
export const datacenterList = z.array(text, { error: 'expected names of datacenters' }).min(1, 'expected at least one datacenter')
export const nodePoolName = z.string().regex(/^[\w-]{1,128}$/, 'expected letters, digits, dashes and underscores')

/** One constraint as Nomad's API has it. */
export interface Constraint {
  LTarget: string
  Operand: string
  RTarget: string
}

/** By how many values they take after the attribute. */
const operators = {
  none: new Set(['is_set', 'is_not_set']),
  one: new Set(['=', '==', 'is', '!=', 'not', '<', '<=', '>', '>=', 'regexp', 'version', 'semver', 'set_contains', 'set_contains_any']),
  perhaps: new Set(['distinct_property']),
}

/** Undefined for what is none. */
export function parseConstraint(constraint: string): Constraint | undefined {
  const [LTarget = '', Operand = '', ...rest] = constraint.trim().split(/\s+/)
  if (LTarget === 'distinct_hosts' && Operand === '') return { LTarget: '', Operand: LTarget, RTarget: 'true' }
  const RTarget = rest.join(' ')
  const fits =
    (operators.none.has(Operand) && RTarget === '') ||
    (operators.one.has(Operand) && RTarget !== '') ||
    (operators.perhaps.has(Operand) && /^([1-9][0-9]*)?$/.test(RTarget))
  return fits && /^\$\{[^{}]+\}$/.test(LTarget) ? { LTarget, Operand, RTarget } : undefined
}

/** As an option has them. */
export const constraintList = z.array(
  z
    .string()
    .refine((one) => parseConstraint(one) !== undefined, `expected \${ATTRIBUTE} OPERATOR VALUE, such as \${attr.kernel.name} = linux`),
  { error: 'expected constraints' },
)

const written = z.object({
  datacenters: z.array(z.string()).optional(),
  nodePool: z.string().optional(),
  constraints: z.array(z.string()).optional(),
  priority: z.number().optional(),
  cpuMhz: z.number().optional(),
  cores: z.number().optional(),
  memoryMb: z.number().optional(),
  memoryMaxMb: z.number().optional(),
})

/** What somebody asked for, and nothing else. */
export function placementOf(from: Placement): Placement {
  return Object.fromEntries(placementNames.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])))
}

/** The placement as one text, empty for none. */
export function writePlacement(from: Placement): string {
  const placement = placementOf(from)
  return Object.keys(placement).length === 0 ? '' : JSON.stringify(placement)
}

/** Reads what {@link writePlacement} wrote; undefined for something else. */
export function readPlacement(from: string | undefined): Placement | undefined {
  if (from === undefined || from === '') return {}
  try {
    return placementOf(written.parse(JSON.parse(from)) as Placement)
  } catch {
    return undefined
  }
}
