import { taskImageEnvironment, taskImageRoot } from './image-layout.ts'
import type { PoolTerms } from './pool-terms.ts'

/** A mount as a sandbox server is told of it: `source` is the path that the server sees. */
export interface SourceMount {
  source: string
  target: string
  readOnly: boolean
  description: string | null
}

/**
 * The arguments of a sandbox server for what every slot gets. `system` is what a slot's root filesystem is made from: the whole image of a
 * container, or the system folders of a host.
 */
export function termsArguments(terms: PoolTerms, mounts: readonly SourceMount[], system: 'image' | 'host'): string[] {
  return [
    ...['--limits', json(terms.limits)],
    ...['--network-allow', json(terms.networkAllow)],
    ...['--mounts', json(mounts.map(({ source, target, readOnly, description }) => ({ source, target, readOnly, description })))],
    ...['--system', system],
    ...(system === 'host' || terms.toolsImage === undefined
      ? []
      : ['--image-root', taskImageRoot, '--image-environment', taskImageEnvironment]),
    ...(terms.maxReuses === undefined ? [] : ['--max-reuses', String(terms.maxReuses)]),
    ...(terms.drainMs ? ['--drain-ms', String(terms.drainMs)] : []),
  ]
}

/** Where the containers of an engine have the mount of that number; the sandbox server hands it on from there. */
export function mountPlace(at: number): string {
  return `/run/slotpool/mounts/${at}`
}

/** The mounts of a pool as the server of a container sees them. */
export function containerMounts(terms: PoolTerms): SourceMount[] {
  return terms.mounts.map((mount, at) => ({ ...mount, source: mountPlace(at) }))
}

/** Nomad replaces `${…}` in arguments wherever it stands. */
function json(value: unknown): string {
  return JSON.stringify(value).replaceAll('$', '\\u0024')
}
