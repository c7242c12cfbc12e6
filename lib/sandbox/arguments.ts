import { isAbsolute } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { isolationNames, networkNames } from '../config.ts'
import { SlotpoolError } from '../errors.ts'
import { networkAllowList } from '../network-allow.ts'
import { slotLimits } from '../wire/limits.ts'

const count = (least: number, most: number) =>
  z
    .string()
    .regex(/^[0-9]{1,12}$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `expected ${least} to ${most}`)
const absolutePath = z.string().refine(isAbsolute, 'expected an absolute path')

/** A value as JSON that `inner` takes. */
const json = <T extends z.ZodType>(inner: T) =>
  z
    .string()
    .transform((text, context): unknown => {
      try {
        return JSON.parse(text)
      } catch {
        context.addIssue({ code: 'custom', message: 'expected JSON' })
        return z.NEVER
      }
    })
    .pipe(inner)

/** A folder or file as the server sees it, and where slots see it. */
const serverMount = z.strictObject({
  source: absolutePath,
  target: absolutePath,
  readOnly: z.boolean(),
  description: z.string().nullable(),
})
export type ServerMount = z.infer<typeof serverMount>

const schema = z.strictObject({
  /** `unix:PATH` or `tcp:HOST:PORT`. */
  listen: z.string().regex(/^(unix:\/.+|tcp:[^:]+:[0-9]{1,5})$/, 'expected unix:/PATH or tcp:HOST:PORT'),
  'token-file': absolutePath,
  'state-dir': absolutePath,
  pool: z.string().min(1),
  slots: count(1, 1000),
  isolation: z.enum(isolationNames),
  network: z.enum(networkNames),
  /** JSON: limits that each slot gets; the server chooses the others. */
  limits: json(slotLimits).default({}),
  /** JSON: what each slot sees of the files around the server. */
  mounts: json(z.array(serverMount)).default([]),
  /** JSON: private addresses that slots may reach. */
  'network-allow': json(networkAllowList).default([]),
  /** What a slot's root filesystem is made from: all that the container's image has, or the system folders of a host. */
  system: z.enum(['image', 'host']).default('host'),
  /** Where the server finds the image that slots are made from, when it is no part of it. */
  'image-root': absolutePath.optional(),
  /** What a container of that image is started with, entries ended by NUL. */
  'image-environment': absolutePath.optional(),
  /** Whose network the server has: its container's own, which it may arrange, or the machine's. Default: own with an image, else the machine's. */
  'server-network': z.enum(['own', 'machine']).optional(),
  'uid-base': count(1, 2_000_000_000).default(1_000_000),
  /** How often each slot is leased at most. Default: no bound. */
  'max-reuses': count(1, 1_000_000_000).optional(),
  /** How long running commands may go on after SIGTERM. */
  'drain-ms': count(0, 86_400_000).default(0),
  'idle-exit-ms': count(1, 2_147_483_000).optional(),
  /** A file that the server touches from time to time, for those who cannot look for its process. */
  'alive-file': absolutePath.optional(),
})

/** What the sandbox server was asked to be. No secret is among its arguments: they show in every process list. */
export type ServerArguments = z.infer<typeof schema>

/** @throws {SlotpoolError} `USAGE` naming the argument, what it got and what it takes. */
export function parseArguments(argv: readonly string[]): ServerArguments {
  let values: Record<string, string | boolean | undefined>
  try {
    const options = Object.fromEntries(Object.keys(schema.shape).map((name) => [name, { type: 'string' as const }]))
    values = parseArgs({ args: [...argv], options }).values
  } catch (error) {
    throw new SlotpoolError('USAGE', (error as Error).message, { cause: error })
  }
  const result = schema.safeParse(values)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const name = String(issue?.path[0])
  throw new SlotpoolError('USAGE', `--${name}: got ${values[name] ?? 'nothing'}, ${issue?.message}`)
}

/** The place to listen at, as Node takes it. */
export function listenAddress(listen: string): { path: string } | { host: string; port: number } {
  if (listen.startsWith('unix:')) return { path: listen.slice('unix:'.length) }
  const [, host, port] = listen.split(':') as [string, string, string]
  return { host, port: Number(port) }
}
