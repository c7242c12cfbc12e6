import type { Test } from 'tap'
import type { Container } from '../../../lib/backend/backend.ts'
import type { OpenOptions } from '../../../lib/pool/slot-pool.ts'

/** How large a pool is to be. */
export interface PoolSize {
  slots: number
  min: number
  max: number
}

/** A pool that does not exist yet. */
export interface PoolPlan {
  /** What every process opens it with. */
  options: OpenOptions
  /** The environment of other processes that may open it; undefined where only this one can. */
  env?: NodeJS.ProcessEnv
  /** Ends one of its containers as an accident would. */
  kill(container: Container): Promise<void>
  /** All that there is of the pool on this machine: nothing, after it was taken down. */
  left(): Promise<string[]>
}

/** A backend that is put to the test. */
export interface ContractSubject {
  name: string
  /** Its slots can be shown files of this machine. */
  mounts: boolean
  /** Another subject whose containers come and go in the same way: what needs more than one container is shown there, and left out here. */
  containersAs?: string
  /** Another subject whose containers are of the same image: what a slot does by itself is shown there, and left out here. */
  slotsAs?: string
  /** Plans a pool of the test's own. What the suite leaves of it is gone when the test is over. */
  makeOptions(t: Test, size: PoolSize): Promise<PoolPlan>
}
