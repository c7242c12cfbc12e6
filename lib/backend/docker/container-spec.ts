import type { ContainerCreateOptions, HostConfig, MountSettings } from 'dockerode'
import type { Config } from '../../config.ts'
import { jailCapabilities, serverEntrypoint, taskImageEntrypoint } from '../../image-layout.ts'
import { containerMounts, mountPlace, termsArguments } from '../../pool-arguments.ts'
import type { HostMount } from '../host-mounts.ts'
import type { PoolVersion } from '../pool-version.ts'
import { labelsFor, poolLabel } from './container-labels.ts'
import { type ToolsVolume, toolsFolder, toolsMount } from './tools-volume.ts'

/** The port of the sandbox server inside the container. */
export const serverPort = 7780
/** The folder in the container that the token is put into before the start. */
const secretsFolder = 'run/slotpool'
/** How long the engine waits for a container that it told to end, unless it is told otherwise. */
const engineStopSeconds = 10
/** Where the sandbox server keeps its slots. */
const slotFolder = '/var/lib/slotpool'
/** The same where the image is anybody's: beside the slots, since what lies in such an image its slots may come by. */
const taskImageSecretsFolder = 'var/lib/slotpool/secrets'
/** A pool that nobody used for so long ends itself. */
const idleExitMs = 15 * 60_000

/** The folder of the token, from the container's root. */
export function tokenFolder({ toolsImage }: Pick<Config, 'toolsImage'>): string {
  return toolsImage === undefined ? secretsFolder : taskImageSecretsFolder
}

/** The name is what keeps two processes from both making the container of one index. */
export function containerName(pool: string, index: number): string {
  return `slotpool-${pool}-${index}`
}

/** What a container is made as. */
export interface ContainerPlan {
  /** With the settings of the version in place of the caller's own. */
  config: Config
  /** What its image stands for: the image's id, or its name where both are the same. */
  image: string
  version: Pick<PoolVersion, 'id' | 'generation'>
  mounts: readonly HostMount[]
  /** What its server comes from, where that is no part of its image. */
  tools?: ToolsVolume | undefined
}

/** What the engine is asked for: one container that serves `config.slots` slots. The token is not in it. */
export function containerSpec(
  { config, image, version, mounts, tools }: ContainerPlan,
  index: number,
): ContainerCreateOptions & { name: string } {
  const port = `${serverPort}/tcp`
  return {
    name: containerName(config.pool, index),
    Image: image,
    // Written out, so that an image made from ours with another entry point or user still serves slots.
    Entrypoint:
      tools === undefined
        ? [...serverEntrypoint]
        : taskImageEntrypoint(toolsFolder, [slotFolder, ...mounts.map((_, at) => mountPlace(at))]),
    User: '0:0',
    Cmd: serverArguments(config),
    Labels: labelsFor(config, index, version),
    ...(tools === undefined ? {} : unlikeItsImage),
    // The engine's own patience comes after that.
    ...(config.drainMs > 0 ? { StopTimeout: Math.ceil(config.drainMs / 1000) + engineStopSeconds } : {}),
    ExposedPorts: { [port]: {} },
    HostConfig: {
      // What ends by itself, idle or broken, leaves neither a container nor a volume.
      AutoRemove: true,
      Init: false,
      PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: '' }] },
      Mounts: [
        slotVolume(config.pool),
        ...(tools === undefined ? [] : [toolsMount(tools)]),
        // From where the sandbox server hands them on to its slots.
        ...mounts.map(({ source, readOnly }, at) => bindMount(source, mountPlace(at), readOnly)),
      ],
      PidsLimit: pidsLimit(config.slots),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      ...privileges(config),
    },
  }
}

/** What an image says of the program that it was made for, and is not so of the server: a health check would even be run beside it, as root. */
const unlikeItsImage = { Healthcheck: { Test: ['NONE'] }, StopSignal: 'SIGTERM', WorkingDir: '/' }

function serverArguments(config: Config): string[] {
  return [
    ...['--listen', `tcp:0.0.0.0:${serverPort}`],
    ...['--token-file', `/${tokenFolder(config)}/token`],
    ...['--state-dir', slotFolder],
    ...['--pool', config.pool],
    ...['--slots', String(config.slots)],
    ...['--isolation', config.isolation],
    ...['--network', config.network],
    ...termsArguments(config, containerMounts(config), 'image'),
    ...['--idle-exit-ms', String(idleExitMs)],
  ]
}

/**
 * For what slots write: it does not pass through the container's overlay. Without a name it goes with the container; the label is for whoever
 * finds it after a container was removed by hand and its volume was not.
 */
function slotVolume(pool: string): MountSettings {
  return {
    Type: 'volume',
    Source: '',
    Target: slotFolder,
    VolumeOptions: { NoCopy: false, Labels: { [poolLabel]: pool }, DriverConfig: { Name: '', Options: {} } },
  }
}

/** A source that is gone by then is an error of the engine's; it would make a folder for one that is named as a bind in short. */
function bindMount(source: string, target: string, readOnly: boolean): MountSettings {
  return { Type: 'bind', Source: source, Target: target, ReadOnly: readOnly, BindOptions: { Propagation: 'rprivate' } }
}

/** Room for builds in every slot, and an end for what forks without one; Linux hands out 32,768 pids unless told otherwise. */
function pidsLimit(slots: number): number {
  return Math.min(32_768, 1024 * (slots + 1))
}

/**
 * What jails need. Docker's seccomp profile and AppArmor refuse mounts and namespaces whatever the capabilities. Slots get none of these.
 */
function privileges(config: Config): HostConfig {
  if (config.isolation !== 'auto' && config.isolation !== 'jail') return {}
  return { CapAdd: [...jailCapabilities], SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'] }
}
