import type { Backend, Container } from '../../lib/backend/backend.ts'
import type { SlotPoolOptions } from '../../lib/config.ts'
import type { FaultName, PlaceName } from '../faults.ts'

/** What is done to a container, or to where it is. */
export interface ContainerFault {
  /** The containers that it meets. Default: the one that it is for. */
  meets?(container: Container): Promise<string[]>
  /** While it goes on there may be no place for any container: whoever asks for a slot meanwhile is met, too. Default: false. */
  meetsAllWhoAsk?: boolean
  /**
   * Does it, and resolves when it is over.
   *
   * @param extent from 0 up to but not 1: how far it goes, where there is a choice.
   */
  inject(container: Container, extent: number): Promise<void>
}

/** Where the containers of a run are, and what can be done to them there. */
export interface Place {
  readonly name: PlaceName
  /** Of the supervisor. */
  readonly backend: Backend
  /** Options of the pool that have to do with the place. */
  readonly options: SlotPoolOptions
  /** Whether managers have a backend of their own, or use that of the supervisor. */
  readonly managersUse: 'own' | 'supervisor'
  readonly faults: Partial<Record<FaultName, ContainerFault>>
  /** Takes note of what there is of the pool now, to be looked for when all should be gone. */
  note(): Promise<void>
  /** What there still is of the pool. */
  left(): Promise<string[]>
  /** Undoes what a fault may have left undone when the run was cut off, and lets go of connections. */
  close(): Promise<void>
}

/** What a place is made with. */
export interface PlaceOptions {
  pool: string
  /** The pool's own options, as managers open it, but for those of the place. */
  options: SlotPoolOptions
  slots: number
}
