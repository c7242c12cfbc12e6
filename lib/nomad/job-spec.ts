import type { z } from 'zod'
import type { IsolationChoice, NetworkChoice, NomadDriver } from '../config.ts'
import { copyToolsProgram, jailCapabilities, serverEntrypoint, taskImageEntrypoint } from '../image-layout.ts'
import { type Constraint, type Placement, parseConstraint, readPlacement, reservedMemoryMb, writePlacement } from '../placement.ts'
import { containerMounts, mountPlace, termsArguments } from '../pool-arguments.ts'
import { type PoolTerms, readTerms, writeTerms } from '../pool-terms.ts'
import { imageFile, type imageProvenance } from '../wire/provenance.ts'
import { stateFolder, tokenFile, tokenItem } from './apptainer-script.ts'
import { singularityConfig } from './singularity-task.ts'

/** What a pool's job is made from. */
export interface PoolJob extends PoolTerms {
  pool: string
  /** Default: docker. */
  driver?: NomadDriver
  image: string
  slots: number
  isolation: IsolationChoice
  network: NetworkChoice
  /** Of the slotpool that registers it. */
  version: string
  /** Containers. */
  count: number
  placement: Placement
  /** How often the pool was changed before. Default: 0. */
  generation?: number
}

/** The first group of a pool's job. */
export const groupName = 'sandbox'
/** The one task of each group. */
export const taskName = 'sandbox-server'
/** The task that comes before it where the server is no part of the image: it brings the server and all that it runs. */
export const toolsTaskName = 'tools'

/** Where that task puts them, in the folder that the tasks of an allocation share; it goes with the allocation. */
const toolsFolder = '${NOMAD_ALLOC_DIR}/slotpool'
/** MiB for copying them. Nomad needs no more room for both tasks than for the larger, since one ends before the other begins. */
const copyingMemoryMb = 128

/** The group of containers that were made after so many changes of the pool: `sandbox`, then `sandbox-1`. */
export function groupNameOf(generation: number): string {
  return generation === 0 ? groupName : `${groupName}-${generation}`
}

/** After how many changes the containers of a group were made; undefined for a group that is not the pool's. */
export function generationOf(group: string): number | undefined {
  if (group === groupName) return 0
  const [, generation] = /^sandbox-([1-9][0-9]{0,8})$/.exec(group) ?? []
  return generation === undefined ? undefined : Number(generation)
}

/** The label of the port on which the sandbox server answers, and its number in the container. */
export const portLabel = 'http'
const containerPort = 7780

/** Where the server of a Docker container keeps its slots, in the task's folder. */
const taskStateFolder = 'slotpool'

export { tokenItem }

/**
 * MHz that a node must have free. It is a weight among containers that compete and no ceiling, and an idle slot needs next to none, so
 * it is small: a container should find a place wherever there is memory.
 */
const reservedCpuMhz = 100

/**
 * MiB that each slot adds to what the container may grow to where the node has it. Without a ceiling of its own Nomad would make the
 * reservation the ceiling, and the first compiler would be killed.
 */
const ceilingPerSlotMb = 1024

/** From the polite signal to the kill: running commands are given time to end. It is the most that a client allows unless told otherwise. */
const killTimeoutMs = 30_000

/** An image takes longer than Nomad's own 5 minutes on a slow line; no progress for 2 minutes still ends the pull. */
const imagePullTimeout = '30m'

/** A delay in Nomad's reschedule policy so long that it never passes by itself: 100 days, and still an exact number in JSON. */
const neverMs = 100 * 24 * 3600 * 1000

/** While a deployment runs Nomad refuses to scale, and a group is never changed. */
export const noDeployments = { MaxParallel: 0 } as const

const nanoseconds = (ms: number): number => ms * 1_000_000

export const poolJobId = (pool: string): string => `slotpool-${pool}`

/** Where the pool's token is kept. A job may read what lies under its own name without any policy. */
export const poolVariablePath = (pool: string): string => `nomad/jobs/${poolJobId(pool)}`

/** The job whose token a variable may hold; undefined where it is one of a group or a task of some job. */
export const jobIdOfVariable = (path: string): string | undefined => /^nomad\/jobs\/(slotpool-[^/]+)$/.exec(path)?.[1]

/**
 * The service job of a pool, in the JSON form of Nomad's API.
 *
 * What its containers are made from is in its group, and the job says nothing of it: a pool is changed by adding a group, and Nomad leaves the
 * containers of the others alone as long as nothing changes that is theirs, the meta of the job included.
 *
 * A container that ended has lost its leases, so Nomad must not put another in its place unasked: no restart, and a reschedule policy
 * that is on (otherwise nothing, not even a forced evaluation, replaces a failed allocation) with a delay that never passes.
 */
export function poolJobSpec(job: PoolJob): { ID: string } & Record<string, unknown> {
  const id = poolJobId(job.pool)
  const { datacenters = ['*'], nodePool = 'default', priority } = job.placement
  return {
    ID: id,
    Name: id,
    Type: 'service',
    Datacenters: datacenters,
    NodePool: nodePool,
    ...(priority === undefined ? {} : { Priority: priority }),
    Meta: { slotpool_pool: job.pool },
    Update: noDeployments,
    TaskGroups: [poolGroupSpec(job)],
  }
}

/** One group of the job: containers that are all made alike. */
export function poolGroupSpec(job: PoolJob): { Name: string; Count: number } & Record<string, unknown> {
  const { constraints = [] } = job.placement
  return {
    Name: groupNameOf(job.generation ?? 0),
    Count: job.count,
    ...(constraints.length === 0 ? {} : { Constraints: constraints.map((one) => parseConstraint(one) as Constraint) }),
    Meta: groupMeta(job),
    Networks: [{ DynamicPorts: [job.driver === 'singularity' ? { Label: portLabel } : { Label: portLabel, To: containerPort }] }],
    RestartPolicy: { Attempts: 0, Mode: 'fail' },
    ReschedulePolicy: { Unlimited: true, DelayFunction: 'constant', Delay: nanoseconds(neverMs) },
    Tasks: [...(job.toolsImage === undefined ? [] : [toolsTask(job.toolsImage)]), serverTask(job)],
  }
}

function toolsTask(image: string): Record<string, unknown> {
  return {
    Name: toolsTaskName,
    Driver: 'docker',
    Lifecycle: { Hook: 'prestart', Sidecar: false },
    Config: {
      ...imageConfig(image),
      entrypoint: [copyToolsProgram],
      args: [toolsFolder],
      network_mode: 'none',
    },
    User: '0',
    Resources: { CPU: reservedCpuMhz, MemoryMB: copyingMemoryMb },
  }
}

const imageConfig = (image: string): Record<string, unknown> => ({ image, force_pull: false, image_pull_timeout: imagePullTimeout })

function serverTask(job: PoolJob): Record<string, unknown> {
  const {
    memoryMb = reservedMemoryMb,
    memoryMaxMb = memoryMb + ceilingPerSlotMb * job.slots,
    cpuMhz = reservedCpuMhz,
    cores,
  } = job.placement
  const resources = { ...(cores === undefined ? { CPU: cpuMhz } : { Cores: cores }), MemoryMB: memoryMb }
  const byDriver =
    job.driver === 'singularity'
      ? {
          Driver: nomadDriverOf(job.driver),
          Config: singularityConfig(job, serverArguments(job)),
          // Nomad keeps to the ceiling where its oversubscription of memory is on, else to what is reserved.
          Resources: { ...resources, MemoryMaxMB: memoryMaxMb },
        }
      : {
          Driver: nomadDriverOf(job.driver),
          Config: dockerConfig(job, memoryMaxMb),
          // As its entry point, whatever the image says: the server makes jails. An image may have no names of users.
          User: job.toolsImage === undefined ? 'root' : '0',
          Resources: resources,
        }
  return {
    Name: taskName,
    ...byDriver,
    Templates: [tokenTemplate(job.pool), imageTemplate(job.image)],
    KillSignal: 'SIGTERM',
    KillTimeout: nanoseconds((job.drainMs ?? 0) + killTimeoutMs),
  }
}

/** What a container has that is no part of its image, and that its server needs. */
function ownMounts(job: PoolJob): string[] {
  return ['${NOMAD_SECRETS_DIR}', '${NOMAD_TASK_DIR}', ...job.mounts.map((_, at) => mountPlace(at))]
}

/** What runs a task of the driver: Nomad has none for Apptainer itself. */
export function nomadDriverOf(driver: NomadDriver = 'docker'): string {
  return driver === 'singularity' ? 'raw_exec' : driver
}

function dockerConfig(job: PoolJob, memoryMaxMb: number): Record<string, unknown> {
  return {
    ...imageConfig(job.image),
    ports: [portLabel],
    // Written out, so that an image made from ours with another entry point still serves slots.
    entrypoint: job.toolsImage === undefined ? [...serverEntrypoint] : taskImageEntrypoint(`${toolsFolder}/tools`, ownMounts(job)),
    args: serverArguments(job),
    // It would be run beside the server, as root.
    ...(job.toolsImage === undefined ? {} : { healthchecks: [{ disable: true }] }),
    ...mountBlocks(job),
    memory_hard_limit: memoryMaxMb,
    pids_limit: pidsLimit(job.slots),
    ...jailPrivileges(job.isolation),
  }
}

function serverArguments(job: PoolJob): string[] {
  const places =
    job.driver === 'singularity'
      ? {
          // The network is the node's, so nothing leads to the port but its number.
          listen: `tcp:\${NOMAD_IP_${portLabel}}:\${NOMAD_PORT_${portLabel}}`,
          'token-file': tokenFile,
          'state-dir': stateFolder,
          'server-network': 'machine',
        }
      : {
          listen: `tcp:0.0.0.0:${containerPort}`,
          'token-file': `\${NOMAD_SECRETS_DIR}/${tokenItem}`,
          // The task's folder is a bind mount of the node's own disk and goes with the allocation.
          'state-dir': `\${NOMAD_TASK_DIR}/${taskStateFolder}`,
        }
  const options = { ...places, pool: job.pool, slots: String(job.slots), isolation: job.isolation, network: job.network }
  return [
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    ...termsArguments(job, containerMounts(job), 'image'),
  ]
}

/** What slots see of the node, from where the sandbox server hands it on. The docker driver takes it where its `volumes` are enabled. */
function mountBlocks(job: PoolJob): Record<string, unknown> {
  if (job.mounts.length === 0) return {}
  return {
    mount: job.mounts.map(({ host, readOnly }, at) => ({
      type: 'bind',
      source: host,
      target: mountPlace(at),
      readonly: readOnly,
      bind_options: [{ propagation: 'rprivate' }],
    })),
  }
}

/** Room for builds in every slot, and an end for what forks without one; Linux hands out 32,768 pids unless told otherwise. */
function pidsLimit(slots: number): number {
  return Math.min(32_768, 1024 * (slots + 1))
}

/**
 * What making a jail for each slot takes: namespaces and mounts, a sight of whose processes are whose, and Docker's profiles, which refuse
 * them, out of the way. The sandbox server takes it all from the slots again. Where a client's `allow_caps` lacks them, isolation `uid` and `none` do without.
 */
function jailPrivileges(isolation: IsolationChoice): Record<string, unknown> {
  if (isolation !== 'auto' && isolation !== 'jail') return {}
  return { cap_add: jailCapabilities.map((name) => name.toLowerCase()), security_opt: ['seccomp=unconfined', 'apparmor=unconfined'] }
}

/** Writes the token into the secrets folder, a tmpfs that only the task sees. It is read by the node and is not in the job. */
function tokenTemplate(pool: string): Record<string, unknown> {
  return {
    EmbeddedTmpl: `{{ with nomadVar "${poolVariablePath(pool)}" }}{{ .${tokenItem} }}{{ end }}`,
    DestPath: `secrets/${tokenItem}`,
    Perms: '0400',
    // The server reads it once, when it starts.
    ChangeMode: 'noop',
  }
}

/** Says beside the token what the image is. A node does not tell its tasks which one it ran, so the digest is known only where it was asked for by it. */
function imageTemplate(reference: string): Record<string, unknown> {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1]
  const image: z.input<typeof imageProvenance> = { reference, ...(digest === undefined ? {} : { digest }) }
  return {
    // Two braces side by side would be the template's own.
    EmbeddedTmpl: JSON.stringify(image).replaceAll('{{', '{\\u007b'),
    DestPath: `secrets/${imageFile}`,
    Perms: '0400',
    ChangeMode: 'noop',
  }
}

/** The shape of its containers, for whoever finds the job later. */
function groupMeta(job: PoolJob): Record<string, string> {
  const placement = writePlacement(job.placement)
  return {
    slotpool_version: job.version,
    slotpool_driver: job.driver ?? 'docker',
    slotpool_image: job.image,
    slotpool_slots: String(job.slots),
    slotpool_isolation: job.isolation,
    slotpool_network: job.network,
    slotpool_terms: writeTerms(job),
    ...(placement === '' ? {} : { slotpool_placement: placement }),
  }
}

/** What {@link poolGroupSpec} wrote; null when it is not one of its groups. */
export function readGroupMeta(meta: Readonly<Record<string, string>> | null | undefined): GroupMeta | null {
  const version = meta?.slotpool_version
  const driver = meta?.slotpool_driver === 'singularity' ? 'singularity' : 'docker'
  const image = meta?.slotpool_image
  const slots = Number(meta?.slotpool_slots)
  const isolation = meta?.slotpool_isolation
  const network = meta?.slotpool_network
  const terms = readTerms(meta?.slotpool_terms)
  const placement = readPlacement(meta?.slotpool_placement)
  if (image === undefined || !Number.isInteger(slots) || slots < 1 || isolation === undefined || network === undefined) return null
  if (!terms || !placement || version === undefined) return null
  return { version, shape: { driver, image, slots, isolation, network, placement, ...terms } }
}

/** What the containers of a group were made with, and by which slotpool. */
export interface GroupMeta {
  version: string
  shape: { driver: NomadDriver; image: string; slots: number; isolation: string; network: string; placement: Placement } & PoolTerms
}
