import type { ContainerStatus, PoolStatus } from '../pool/pool-status.ts'

/** Tells of a change of a pool, container by container, in a line for each thing that happens. */
export class ChangeReport {
  readonly #say: (line: string) => void
  /** What was said of each container last. */
  #said = new Map<string, string>()

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  /** Says what is another than the last time. Of a pool that has one version, and had before, there is nothing to say. */
  note({ containers, version }: PoolStatus): void {
    const earlier = containers.filter((one) => one.earlier)
    if (earlier.length === 0 && this.#said.size === 0) return
    const before = this.#said
    this.#said = new Map()
    for (const one of containers) {
      const words = one.earlier ? waitsFor(one) : `serves as version ${version}${one.image === null ? '' : ` (${one.image})`}`
      if (!one.earlier && one.state !== 'ready') continue
      this.#said.set(one.id, words)
      if (before.get(one.id) !== words) this.#say(`slotpool: container ${shortId(one.id)} ${words}`)
    }
    for (const id of before.keys()) {
      if (containers.some((one) => one.id === id)) continue
      this.#say(`slotpool: container ${shortId(id)} is gone; ${earlier.length} to go`)
    }
  }
}

function waitsFor({ version, state, slots, reason }: ContainerStatus): string {
  const tasks = slots.flatMap((slot) => (slot.task_id === null ? [] : [slot.task_id]))
  if (state === 'unreachable' || state === 'starting') return `of version ${version} does not answer: ${reason ?? state}`
  if (state === 'ready') return `of version ${version} serves until another takes its place`
  if (tasks.length === 0) return `of version ${version} goes`
  const shown = tasks.length > 3 ? [...tasks.slice(0, 3), `${tasks.length - 3} more`] : tasks
  return `of version ${version} gives no new lease, and goes when its tasks end: ${shown.join(', ')}`
}

function shortId(id: string): string {
  return id.slice(0, 12)
}
