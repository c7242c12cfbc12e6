import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { inspect } from 'node:util'
import { z } from 'zod'
import { SlotpoolError } from './errors.ts'
import { checkMounts, type Mount, mountList, type PoolMount, parseMounts } from './mount.ts'
import { networkAllowList } from './network-allow.ts'
import { constraintList, datacenterList, nodePoolName, type Placement, placementNames, reservedMemoryMb } from './placement.ts'
import { mebibyte, type SlotLimitOptions, slotLimit, slotLimitNames } from './slot-limits.ts'
import { stateDir } from './state-dir.ts'
import { unknownName } from './unknown-name.ts'

export const backendNames = ['local', 'docker', 'nomad'] as const
export const isolationNames = ['auto', 'jail', 'uid', 'none'] as const
export const networkNames = ['none', 'outbound', 'host'] as const
export const driverNames = ['docker', 'singularity'] as const
export const fallbackNames = ['docker', 'local', 'none'] as const

/** Where containers come from. */
export type BackendName = (typeof backendNames)[number]
/** What was asked for; what is in force is in `status` and in every lease. */
export type IsolationChoice = (typeof isolationNames)[number]
export type NetworkChoice = (typeof networkNames)[number]
export type NomadDriver = (typeof driverNames)[number]
/** Where `nomad` goes when no agent answers; `none` makes it an error. */
export type NomadFallback = (typeof fallbackNames)[number]

/** The image that `slotpool image build` makes when it is given no other tag. */
export const defaultImage = 'slotpool/sandbox:0.1'

/** The same for driver `singularity`: a file in slotpool's state folder. */
export function defaultSif(env: NodeJS.ProcessEnv = process.env): string {
  return join(stateDir(env), 'sif', 'sandbox-0.1.sif')
}

const defaultNomadAddress = 'http://localhost:4646'

const poolName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, 'expected 1 to 40 lower-case letters, digits and inner dashes')
const nonEmpty = z.string().min(1, 'expected a non-empty string')
/** What is in an address is in messages, too. */
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'expected an http:// or https:// address' })
  .refine((text) => !URL.canParse(text) || (new URL(text).username === '' && new URL(text).password === ''), {
    error: 'expected an address without a user and a password',
  })
const absolutePath = z.string().refine(isAbsolute, 'expected an absolute path')

/** Node's timers hold 2^31-1 ms; a longer delay would fire at once. */
const maxSeconds = 2_147_483

const intBetween = (min: number, max: number) =>
  z
    .int({ error: `expected a whole number from ${min} to ${max}` })
    .min(min, `expected a whole number from ${min} to ${max}`)
    .max(max, `expected a whole number from ${min} to ${max}`)

/** Options of `SlotPool.open`, each mirroring the environment variable named beside it. Options win over variables. */
export interface SlotPoolOptions {
  /** `TERMINAL_ENV`, default `local`; `sandbox` is the first of nomad, docker, local that answers. */
  env?: BackendName | 'sandbox'
  /** `TERMINAL_POOL`, default `default`. */
  pool?: string
  /**
   * `TERMINAL_NOMAD_IMAGE`, default {@link defaultImage}. With driver `singularity` the absolute path of a `.sif` file or a `docker://` reference, default
   * {@link defaultSif}.
   */
  image?: string
  /**
   * `TERMINAL_TOOLS_IMAGE`, default none: `image` is one that `slotpool image build` made. Else such an image, from which the sandbox server and all
   * that it runs are taken, and `image` may be any for Linux.
   */
  toolsImage?: string
  /** `TERMINAL_NOMAD_SLOTS`, default 10: slots in each container. */
  slots?: number
  /** `TERMINAL_NOMAD_MIN`, default 1: containers kept. */
  min?: number
  /** `TERMINAL_NOMAD_MAX`, default 10: containers at most. */
  max?: number
  /** `TERMINAL_ISOLATION`, default `auto`. */
  isolation?: IsolationChoice
  /** `TERMINAL_NETWORK`, default `outbound`. */
  network?: NetworkChoice
  /** `TERMINAL_TIMEOUT` (which is in seconds), default 60,000 ms for one command. */
  timeoutMs?: number
  /** `TERMINAL_LIFETIME_SECONDS`, default 300,000 ms: a lease unused for so long is released. */
  lifetimeMs?: number
  /** `TERMINAL_SCALE_DOWN_SECONDS`, default 300,000 ms: containers above `min` that were not needed for so long are drained and removed. */
  scaleDownMs?: number
  /** `TERMINAL_MAX_WAITING`, default 10,000: how many may wait for a slot in one process; whoever comes then is refused with `POOL_FULL`. */
  maxWaiting?: number
  /** `TERMINAL_CWD`, default the slot's workspace. */
  cwd?: string
  /** `TERMINAL_MAX_REUSES`: a slot is leased so often and then made no more; its container is replaced in time. Default: no bound. */
  maxReuses?: number
  /** `TERMINAL_DRAIN_SECONDS`: how long running commands may go on when a container is told to end. Default 20,000 ms; 0: they are ended at once. */
  drainMs?: number
  /** `TERMINAL_LIMIT_…`: what each slot may use. Default: what the sandbox server chooses. */
  limits?: SlotLimitOptions
  /**
   * `TERMINAL_NETWORK_ALLOW` (between commas), default none: IPv4 addresses and ranges, each perhaps with a port, that network `outbound`
   * reaches although they are private.
   */
  networkAllow?: readonly string[]
  /** `TERMINAL_MOUNTS` (`HOST:TARGET[:ro|rw][:DESCRIPTION]`, between semicolons or newlines), default none: what slots see of the host. */
  mounts?: readonly Mount[]
  /**
   * `TERMINAL_MOUNT_ALLOW` (between colons): folders of the host in which everything that is mounted must lie, links followed. Default:
   * anything but `/`, what is in `/proc`, `/sys`, `/dev`, `/run` and slotpool's own state.
   */
  mountAllow?: readonly string[]
  /** Who the leases belong to; a task leased by another owner is refused. Default: the name of the OS user. */
  owner?: string
  nomad?: Placement & {
    /** `TERMINAL_NOMAD_ADDRESS`, then `NOMAD_ADDR`, default `http://localhost:4646`. */
    address?: string
    /** `TERMINAL_NOMAD_DRIVER`, default `docker`. */
    driver?: NomadDriver
    /** `TERMINAL_NOMAD_AUTOSTART`, default false. */
    autostart?: boolean
    /** `TERMINAL_NOMAD_FALLBACK`, default `docker` while the address is the default one, else `none`. */
    fallback?: NomadFallback
    /** `NOMAD_TOKEN`. */
    token?: string
    /** `NOMAD_NAMESPACE`. */
    namespace?: string
    /** `NOMAD_REGION`. */
    region?: string
    /** `NOMAD_CACERT`: a PEM file. */
    caCert?: string
    /** `NOMAD_CAPATH`: a folder of PEM files, where there is no `caCert`. */
    caPath?: string
    /** `NOMAD_TLS_SERVER_NAME`: what the agent's certificate is for, where that is not the address. */
    tlsServerName?: string
    /** `NOMAD_SKIP_VERIFY`: take any certificate. Default: false. */
    skipVerify?: boolean
    /** `NOMAD_CLIENT_CERT`: a PEM file. */
    clientCert?: string
    /** `NOMAD_CLIENT_KEY`: a PEM file. */
    clientKey?: string
  }
}

/** How Nomad's API is reached. */
export interface NomadConnection {
  address: string
  token?: string
  namespace?: string
  region?: string
  caCert?: string
  caPath?: string
  tlsServerName?: string
  skipVerify?: boolean
  clientCert?: string
  clientKey?: string
}

/** The one resolved configuration: checked, complete and frozen. */
export interface Config {
  env: BackendName | 'sandbox'
  pool: string
  image: string
  toolsImage?: string
  slots: number
  min: number
  max: number
  isolation: IsolationChoice
  network: NetworkChoice
  timeoutMs: number
  lifetimeMs: number
  scaleDownMs: number
  maxWaiting: number
  cwd?: string
  maxReuses?: number
  drainMs: number
  /** Only those that were given. */
  limits: Readonly<SlotLimitOptions>
  networkAllow: readonly string[]
  mounts: readonly PoolMount[]
  mountAllow?: readonly string[]
  owner: string
  nomad: NomadConnection & Placement & { driver: NomadDriver; autostart: boolean; fallback: NomadFallback }
  /** The settings somebody gave, as opposed to defaults: only these can conflict with a pool that already runs. */
  given: ReadonlySet<string>
}

interface Setting {
  /** The path of the option, such as `nomad.address`. */
  option: string
  variable: string
  schema: z.ZodType
  /** Turns the variable's text into the value that `schema` checks; NaN or the text itself when it cannot. */
  parse?: (text: string) => unknown
}

const wholeNumber = (text: string): unknown => (/^[0-9]{1,15}$/.test(text) ? Number(text) : text)
const secondsToMs = (text: string): unknown => (/^[0-9]{1,9}(\.[0-9]{1,3})?$/.test(text) ? Math.round(Number(text) * 1000) : text)
const megabytes = (text: string): unknown => (/^[0-9]{1,9}$/.test(text) ? Number(text) * mebibyte : text)
const list =
  (separator: string | RegExp) =>
  (text: string): unknown =>
    text.split(separator).map((one) => one.trim())
const flag = (text: string): unknown => (text === '1' ? true : text === '0' ? false : text)

const duration = z
  .int({ error: `expected 0.001 to ${maxSeconds} seconds (with …Ms: milliseconds)` })
  .min(1, `expected 0.001 to ${maxSeconds} seconds (with …Ms: milliseconds)`)
  .max(maxSeconds * 1000, `expected 0.001 to ${maxSeconds} seconds (with …Ms: milliseconds)`)

/** A container that is told to end is expected to do so. */
const maxDrainSeconds = 86_400

const drainTime = z
  .int({ error: `expected 0 to ${maxDrainSeconds} seconds (with …Ms: milliseconds)` })
  .min(0, `expected 0 to ${maxDrainSeconds} seconds (with …Ms: milliseconds)`)
  .max(maxDrainSeconds * 1000, `expected 0 to ${maxDrainSeconds} seconds (with …Ms: milliseconds)`)

const oneOf = <const T extends readonly [string, ...string[]]>(names: T) => z.enum(names, { error: `expected one of ${names.join(', ')}` })

const folderList = z.array(absolutePath, { error: 'expected absolute paths of folders' })

const limitVariables: Record<keyof SlotLimitOptions, string> = {
  memoryBytes: 'TERMINAL_LIMIT_MEMORY_MB',
  processes: 'TERMINAL_LIMIT_PROCESSES',
  cpuWeight: 'TERMINAL_LIMIT_CPU_WEIGHT',
  openFiles: 'TERMINAL_LIMIT_OPEN_FILES',
  diskBytes: 'TERMINAL_LIMIT_DISK_MB',
  outputBytes: 'TERMINAL_LIMIT_OUTPUT_MB',
}

const settings: readonly Setting[] = [
  { option: 'env', variable: 'TERMINAL_ENV', schema: oneOf([...backendNames, 'sandbox']) },
  { option: 'pool', variable: 'TERMINAL_POOL', schema: poolName },
  { option: 'image', variable: 'TERMINAL_NOMAD_IMAGE', schema: nonEmpty },
  { option: 'toolsImage', variable: 'TERMINAL_TOOLS_IMAGE', schema: nonEmpty },
  { option: 'slots', variable: 'TERMINAL_NOMAD_SLOTS', schema: intBetween(1, 1000), parse: wholeNumber },
  { option: 'min', variable: 'TERMINAL_NOMAD_MIN', schema: intBetween(0, 10_000), parse: wholeNumber },
  { option: 'max', variable: 'TERMINAL_NOMAD_MAX', schema: intBetween(1, 10_000), parse: wholeNumber },
  { option: 'isolation', variable: 'TERMINAL_ISOLATION', schema: oneOf(isolationNames) },
  { option: 'network', variable: 'TERMINAL_NETWORK', schema: oneOf(networkNames) },
  { option: 'timeoutMs', variable: 'TERMINAL_TIMEOUT', schema: duration, parse: secondsToMs },
  { option: 'lifetimeMs', variable: 'TERMINAL_LIFETIME_SECONDS', schema: duration, parse: secondsToMs },
  { option: 'scaleDownMs', variable: 'TERMINAL_SCALE_DOWN_SECONDS', schema: duration, parse: secondsToMs },
  { option: 'maxWaiting', variable: 'TERMINAL_MAX_WAITING', schema: intBetween(0, 1_000_000), parse: wholeNumber },
  { option: 'cwd', variable: 'TERMINAL_CWD', schema: absolutePath },
  { option: 'maxReuses', variable: 'TERMINAL_MAX_REUSES', schema: intBetween(1, 1_000_000_000), parse: wholeNumber },
  { option: 'drainMs', variable: 'TERMINAL_DRAIN_SECONDS', schema: drainTime, parse: secondsToMs },
  ...slotLimitNames.map((name) => ({
    option: `limits.${name}`,
    variable: limitVariables[name],
    schema: slotLimit(name),
    parse: name.endsWith('Bytes') ? megabytes : wholeNumber,
  })),
  { option: 'networkAllow', variable: 'TERMINAL_NETWORK_ALLOW', schema: networkAllowList, parse: list(',') },
  { option: 'mounts', variable: 'TERMINAL_MOUNTS', schema: mountList, parse: parseMounts },
  { option: 'mountAllow', variable: 'TERMINAL_MOUNT_ALLOW', schema: folderList, parse: list(':') },
  { option: 'nomad.address', variable: 'TERMINAL_NOMAD_ADDRESS', schema: httpUrl },
  { option: 'nomad.driver', variable: 'TERMINAL_NOMAD_DRIVER', schema: oneOf(driverNames) },
  { option: 'nomad.autostart', variable: 'TERMINAL_NOMAD_AUTOSTART', schema: z.boolean({ error: 'expected 0 or 1' }), parse: flag },
  { option: 'nomad.fallback', variable: 'TERMINAL_NOMAD_FALLBACK', schema: oneOf(fallbackNames) },
  { option: 'nomad.datacenters', variable: 'TERMINAL_NOMAD_DATACENTERS', schema: datacenterList, parse: list(',') },
  { option: 'nomad.nodePool', variable: 'TERMINAL_NOMAD_NODE_POOL', schema: nodePoolName },
  { option: 'nomad.constraints', variable: 'TERMINAL_NOMAD_CONSTRAINTS', schema: constraintList, parse: list(/[;\n]/) },
  { option: 'nomad.priority', variable: 'TERMINAL_NOMAD_PRIORITY', schema: intBetween(1, 100), parse: wholeNumber },
  { option: 'nomad.cpuMhz', variable: 'TERMINAL_NOMAD_CPU_MHZ', schema: intBetween(1, 10_000_000), parse: wholeNumber },
  { option: 'nomad.cores', variable: 'TERMINAL_NOMAD_CORES', schema: intBetween(1, 10_000), parse: wholeNumber },
  { option: 'nomad.memoryMb', variable: 'TERMINAL_NOMAD_MEMORY_MB', schema: intBetween(64, 100_000_000), parse: wholeNumber },
  { option: 'nomad.memoryMaxMb', variable: 'TERMINAL_NOMAD_MEMORY_MAX_MB', schema: intBetween(64, 100_000_000), parse: wholeNumber },
]

/** Read as Nomad's own CLI reads them. An empty value counts as unset there, so it does here. */
const nomadVariables: readonly Setting[] = [
  { option: 'nomad.address', variable: 'NOMAD_ADDR', schema: httpUrl },
  { option: 'nomad.token', variable: 'NOMAD_TOKEN', schema: nonEmpty },
  { option: 'nomad.namespace', variable: 'NOMAD_NAMESPACE', schema: nonEmpty },
  { option: 'nomad.region', variable: 'NOMAD_REGION', schema: nonEmpty },
  { option: 'nomad.caCert', variable: 'NOMAD_CACERT', schema: nonEmpty },
  { option: 'nomad.caPath', variable: 'NOMAD_CAPATH', schema: nonEmpty },
  { option: 'nomad.tlsServerName', variable: 'NOMAD_TLS_SERVER_NAME', schema: nonEmpty },
  {
    option: 'nomad.skipVerify',
    variable: 'NOMAD_SKIP_VERIFY',
    // As Go's strconv.ParseBool reads it.
    parse: (text) => (/^(1|t|true)$/i.test(text) ? true : /^(0|f|false)$/i.test(text) ? false : text),
    schema: z.boolean({ error: 'expected true or false' }),
  },
  { option: 'nomad.clientCert', variable: 'NOMAD_CLIENT_CERT', schema: nonEmpty },
  { option: 'nomad.clientKey', variable: 'NOMAD_CLIENT_KEY', schema: nonEmpty },
]

/** Options without a variable of their own. */
const optionOnly: readonly Setting[] = [{ option: 'owner', variable: '', schema: z.string().min(1).max(200) }]

/** Set by terminal emulators of IDEs, not meant for us. */
const foreignVariables = new Set(['TERMINAL_EMULATOR'])

const secretOptions = new Set(['nomad.token'])

/**
 * Merges options, environment and defaults into the one configuration.
 *
 * @throws {SlotpoolError} `CONFIG_UNKNOWN_VARIABLE` for a `TERMINAL_*` name nobody knows, with the nearest known one;
 *   `CONFIG_INVALID` for a bad value, naming the variable or option, what it got and what it takes; `MOUNT_INVALID` for a mount that could
 *   be none anywhere.
 */
export function loadConfig(options: SlotPoolOptions = {}, env: NodeJS.ProcessEnv = process.env): Config {
  refuseUnknownVariables(env)
  const given = new Map<string, unknown>()
  for (const setting of [...nomadVariables, ...settings]) {
    const text = env[setting.variable]
    if (text === undefined || (text === '' && setting.variable.startsWith('NOMAD_'))) continue
    given.set(setting.option, check(setting, setting.parse ? setting.parse(text) : text, setting.variable, text))
  }
  for (const [option, value] of flatten(options)) {
    const setting = [...settings, ...nomadVariables, ...optionOnly].find((one) => one.option === option)
    if (!setting) throw unknownName('option', option, knownOptions())
    given.set(option, check(setting, value, `option ${option}`, value))
  }
  return resolve(given, env)
}

function resolve(given: ReadonlyMap<string, unknown>, env: NodeJS.ProcessEnv): Config {
  const get = <T>(option: string, fallback: T): T => (given.has(option) ? (given.get(option) as T) : fallback)
  const optional = <K extends string>(key: K, option: string): { [P in K]?: string } =>
    (given.has(option) ? { [key]: given.get(option) } : {}) as { [P in K]?: string }

  const max = get('max', Math.max(10, get('min', 1)))
  const min = get('min', Math.min(1, max))
  if (min > max) {
    throw new SlotpoolError('CONFIG_INVALID', `TERMINAL_NOMAD_MIN: got ${min}, expected at most TERMINAL_NOMAD_MAX, which is ${max}`, {
      details: { variable: 'TERMINAL_NOMAD_MIN', got: min, expected: `at most ${max}` },
    })
  }
  const placement: Placement = Object.fromEntries(
    placementNames.flatMap((name) => (given.has(`nomad.${name}`) ? [[name, given.get(`nomad.${name}`)]] : [])),
  )
  refuseContradictions(placement)
  const address = get('nomad.address', defaultNomadAddress).replace(/\/+$/, '')
  const backend = get<Config['env']>('env', 'local')
  const driver = get<NomadDriver>('nomad.driver', 'docker')
  const runsSif = driver === 'singularity' && (backend === 'nomad' || backend === 'sandbox')
  return Object.freeze({
    env: backend,
    pool: get('pool', 'default'),
    image: get('image', runsSif ? defaultSif(env) : defaultImage),
    ...optional('toolsImage', 'toolsImage'),
    slots: get('slots', 10),
    min,
    max,
    isolation: get<IsolationChoice>('isolation', 'auto'),
    network: get<NetworkChoice>('network', 'outbound'),
    timeoutMs: get('timeoutMs', 60_000),
    lifetimeMs: get('lifetimeMs', 300_000),
    scaleDownMs: get('scaleDownMs', 300_000),
    maxWaiting: get('maxWaiting', 10_000),
    ...optional('cwd', 'cwd'),
    ...(given.has('maxReuses') ? { maxReuses: get('maxReuses', 0) } : {}),
    drainMs: get('drainMs', 20_000),
    limits: Object.freeze(
      Object.fromEntries(slotLimitNames.flatMap((name) => (given.has(`limits.${name}`) ? [[name, given.get(`limits.${name}`)]] : []))),
    ),
    networkAllow: get<readonly string[]>('networkAllow', []),
    mounts: Object.freeze(checkMounts(get<readonly Mount[]>('mounts', []))),
    ...(given.has('mountAllow') ? { mountAllow: get<readonly string[]>('mountAllow', []) } : {}),
    owner: get('owner', userName()),
    nomad: Object.freeze({
      address,
      driver,
      autostart: get('nomad.autostart', false),
      fallback: get<NomadFallback>('nomad.fallback', address === defaultNomadAddress ? 'docker' : 'none'),
      ...optional('token', 'nomad.token'),
      ...optional('namespace', 'nomad.namespace'),
      ...optional('region', 'nomad.region'),
      ...optional('caCert', 'nomad.caCert'),
      ...optional('caPath', 'nomad.caPath'),
      ...optional('tlsServerName', 'nomad.tlsServerName'),
      ...(get('nomad.skipVerify', false) ? { skipVerify: true } : {}),
      ...optional('clientCert', 'nomad.clientCert'),
      ...optional('clientKey', 'nomad.clientKey'),
      ...placement,
    }),
    given: new Set(given.keys()),
  })
}

function refuseContradictions({ cpuMhz, cores, memoryMb = reservedMemoryMb, memoryMaxMb = Number.POSITIVE_INFINITY }: Placement): void {
  const refuse = (variable: string, got: number, expected: string): never => {
    throw new SlotpoolError('CONFIG_INVALID', `${variable}: got ${got}, expected ${expected}`, { details: { variable, got, expected } })
  }
  if (cores !== undefined && cpuMhz !== undefined) refuse('TERMINAL_NOMAD_CORES', cores, 'none beside TERMINAL_NOMAD_CPU_MHZ')
  if (memoryMaxMb < memoryMb) refuse('TERMINAL_NOMAD_MEMORY_MAX_MB', memoryMaxMb, `at least TERMINAL_NOMAD_MEMORY_MB, which is ${memoryMb}`)
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the password file, as in many containers.
    return `uid-${process.getuid?.() ?? 0}`
  }
}

function refuseUnknownVariables(env: NodeJS.ProcessEnv): void {
  const known = settings.map((one) => one.variable)
  for (const name of Object.keys(env)) {
    if (!name.startsWith('TERMINAL_') || foreignVariables.has(name) || known.includes(name)) continue
    throw unknownName('variable', name, known)
  }
}

/** An address may have one in it. */
const withoutPassword = (text: string): string => text.replace(/\/\/[^/@\s]*@/, '//(hidden)@')

function check(setting: Setting, value: unknown, name: string, got: unknown): unknown {
  const result = setting.schema.safeParse(value)
  if (result.success) return result.data
  const expected = (result.error.issues[0]?.message ?? 'invalid').replace(/^expected /, '')
  const shown = secretOptions.has(setting.option)
    ? '(hidden)'
    : typeof got === 'string'
      ? JSON.stringify(withoutPassword(got))
      : inspect(got, { depth: 1 })
  throw new SlotpoolError('CONFIG_INVALID', `${name}: got ${shown}, expected ${expected}`, {
    details: { variable: setting.variable || setting.option, got: shown, expected },
  })
}

function knownOptions(): string[] {
  return [...new Set([...settings, ...nomadVariables, ...optionOnly].map((one) => one.option))]
}

/** Options that hold options. */
const groups = new Set(['nomad', 'limits'])

/** `{ pool, nomad: { address } }` as `[['pool', …], ['nomad.address', …]]`; an option that is undefined is not given. */
function* flatten(options: object, prefix = ''): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (prefix === '' && groups.has(key) && value !== null && typeof value === 'object') yield* flatten(value, `${key}.`)
    else yield [`${prefix}${key}`, value]
  }
}
