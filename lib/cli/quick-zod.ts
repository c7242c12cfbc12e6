import { createRequire } from 'node:module'

/**
 * Stands in for zod in the command line, where the build puts it in its place. To load zod and have it make its schemas takes longer than
 * `slotpool exec` does for all else, and what is checked is nearly always right. So what is plain is looked at here, by the same rules; zod is
 * loaded, and makes that schema, for a value that is wrong, which it explains, and for whatever else it can do.
 */
type Real = Record<string, unknown> & { safeParse(value: unknown): unknown; parse(value: unknown): unknown }

/** The value as the schema has it, or {@link unsure}. Without a look zod is always asked. */
type Look = (value: unknown) => unknown

const unsure = Symbol('unsure')

/** Loaded once somebody asks. */
const zod = (): Record<string, unknown> => (createRequire(import.meta.url)('zod') as { z: Record<string, unknown> }).z

class Schema {
  readonly make: () => unknown
  readonly look: Look | undefined
  readonly shape: Readonly<Record<string, Schema>> | undefined
  /** Any text at all. */
  readonly isText: boolean
  #real: Real | undefined

  constructor(make: () => unknown, look: Look | undefined, shape?: Readonly<Record<string, Schema>>) {
    this.make = make
    this.look = look
    this.shape = shape
    this.isText = look === text
  }

  get real(): Real {
    this.#real ??= this.make() as Real
    return this.#real
  }

  safeParse(value: unknown): unknown {
    const data = this.look ? this.look(value) : unsure
    return data === unsure ? this.real.safeParse(value) : { success: true, data }
  }

  parse(value: unknown): unknown {
    const data = this.look ? this.look(value) : unsure
    return data === unsure ? this.real.parse(value) : data
  }
}

/** What a look becomes by a method of a schema; methods that are not here are zod's own. */
const methods: Record<string, (look: Look, ...args: never[]) => Look> = {
  optional: (look) => (value) => (value === undefined ? undefined : look(value)),
  nullable: (look) => (value) => (value === null ? null : look(value)),
  nullish: (look) => (value) => (value === null || value === undefined ? value : look(value)),
  default: (look, given: unknown) => (value) => (value === undefined ? copyOf(given) : look(value)),
  readonly: (look) => (value) => map(look(value), Object.freeze),
  describe: (look) => look,
  min: (look, least: number) => onlyIf(look, (value) => sizeOf(value) >= least),
  max: (look, most: number) => onlyIf(look, (value) => sizeOf(value) <= most),
  int: (look) => onlyIf(look, Number.isSafeInteger),
  regex: (look, pattern: RegExp) => onlyIf(look, (value) => pattern.test(value as string)),
  refine: (look, holds: (value: unknown) => unknown) => onlyIf(look, holds),
}

const map = (value: unknown, change: (value: unknown) => unknown): unknown => (value === unsure ? unsure : change(value))

function onlyIf(look: Look, holds: (value: unknown) => unknown): Look {
  return (value) => map(look(value), (seen) => (holds(seen) ? seen : unsure))
}

const sizeOf = (value: unknown): number => (typeof value === 'number' ? value : (value as { length: number }).length)

/** A default is nobody's to change. */
function copyOf(given: unknown): unknown {
  if (Array.isArray(given)) return [...given]
  return given !== null && typeof given === 'object' ? { ...given } : given
}

function schema(make: () => unknown, look: Look | undefined, shape?: Readonly<Record<string, Schema>>): Schema {
  return new Proxy(new Schema(make, look, shape), {
    get(target, name: string) {
      if (name in target) {
        const own = Reflect.get(target, name, target) as unknown
        return typeof own === 'function' && name !== 'make' && name !== 'look' ? own.bind(target) : own
      }
      return (...args: unknown[]) => {
        const change = Object.hasOwn(methods, name) ? methods[name] : undefined
        const changed = change && target.look && change(target.look, ...(args as never[]))
        return schema(() => (target.real[name] as (...args: unknown[]) => unknown)(...args.map(realOf)), changed)
      }
    },
  })
}

/** An argument as zod takes it. */
function realOf(value: unknown): unknown {
  if (value instanceof Schema) return value.real
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, realOf(one)]))
}

const text: Look = (value) => (typeof value === 'string' ? value : unsure)

const when =
  (holds: (value: unknown) => boolean): Look =>
  (value) =>
    holds(value) ? value : unsure

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What zod's functions make; those that are not here, and those without a look, are zod's own. */
const kinds: Record<string, (...args: never[]) => Look | undefined> = {
  string: () => text,
  boolean: () => when((value) => typeof value === 'boolean'),
  number: () => when(Number.isFinite),
  int: () => when(Number.isSafeInteger),
  null: () => when((value) => value === null),
  unknown: () => (value) => value,
  literal: (one: unknown) => (isRecord(one) || Array.isArray(one) ? undefined : when((value) => value === one)),
  enum: (names: unknown) => (Array.isArray(names) ? when((value) => names.includes(value)) : undefined),
  array: (inner: Schema) => inner.look && ((value) => (Array.isArray(value) ? arrayOf(value, inner.look as Look) : unsure)),
  // Keys that zod could change, or would want to be there, are left to it.
  record: (key: Schema, inner: Schema) => (key.isText && inner.look ? recordOf(inner.look) : undefined),
  object: (shape: Record<string, Schema>) => objectOf(shape, 'strip'),
  strictObject: (shape: Record<string, Schema>) => objectOf(shape, 'refuse'),
}

function arrayOf(values: readonly unknown[], look: Look): unknown {
  const seen: unknown[] = []
  for (const value of values) {
    const one = look(value)
    if (one === unsure) return unsure
    seen.push(one)
  }
  return seen
}

function recordOf(look: Look): Look {
  return (value) => {
    if (!isRecord(value) || Object.getPrototypeOf(value) !== Object.prototype) return unsure
    const seen: Record<string, unknown> = {}
    for (const [name, one] of Object.entries(value)) {
      seen[name] = look(one)
      if (seen[name] === unsure || name === '__proto__') return unsure
    }
    return seen
  }
}

function objectOf(shape: Record<string, Schema>, others: 'strip' | 'refuse'): Look | undefined {
  const looks = Object.entries(shape).map(([name, { look }]) => [name, look] as const)
  if (looks.some(([, look]) => look === undefined)) return undefined
  return (value) => {
    if (!isRecord(value)) return unsure
    if (others === 'refuse' && Object.keys(value).some((name) => !Object.hasOwn(shape, name))) return unsure
    const seen: Record<string, unknown> = {}
    for (const [name, look] of looks as [string, Look][]) {
      const one = look(value[name])
      if (one === unsure) return unsure
      if (one !== undefined || name in value) seen[name] = one
    }
    return seen
  }
}

/** zod's own `z`, as far as it is called at the top of a module. */
export const z: unknown = new Proxy(
  {},
  {
    get(_, name: string) {
      if (name === 'coerce') return { number: () => schema(() => (zod().coerce as { number(): unknown }).number(), undefined) }
      if (name === 'NEVER') return zod().NEVER
      return (...args: unknown[]) => {
        const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
        const shape = name.endsWith('bject') ? (args[0] as Record<string, Schema>) : undefined
        return schema(() => (zod()[name] as (...args: unknown[]) => unknown)(...args.map(realOf)), kind?.(...(args as never[])), shape)
      }
    },
  },
)
