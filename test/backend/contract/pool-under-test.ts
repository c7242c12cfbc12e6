import type { Test } from 'tap'
import type { Backend } from '../../../lib/backend/backend.ts'
import { openBackend } from '../../../lib/backend/open-backend.ts'
import { loadConfig } from '../../../lib/config.ts'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { otherProcess } from '../../fixtures/other-process.ts'
import type { ContractSubject, PoolPlan, PoolSize } from './subject.ts'

/** A pool and all the ways to it that the suite uses. */
export interface PoolUnderTest extends PoolPlan {
  pool: SlotPool
  /** The same pool through another object. */
  another(t: Test): Promise<SlotPool>
  /** Leases the slot of a task in another process, or where there can be none, through another object; says which slot it got. */
  leaseElsewhere(t: Test, taskId: string): Promise<SlotName>
}

/** Names one slot of a pool. */
export interface SlotName {
  containerId: string
  slot: number
  leaseId: string
}

export async function openPool(t: Test, subject: ContractSubject, size: PoolSize): Promise<PoolUnderTest> {
  const plan = await subject.makeOptions(t, size)
  const pool = await SlotPool.open(plan.options)
  t.teardown(() => pool.close())
  const another = async (t: Test) => {
    const opened = await SlotPool.open(plan.options)
    t.teardown(() => opened.close())
    return opened
  }
  const leaseElsewhere = async (t: Test, taskId: string): Promise<SlotName> => {
    if (plan.env) return otherProcess<SlotName>(plan.options, plan.env, { lease: taskId })
    const { containerId, slot, leaseId } = await (await another(t)).lease(taskId, { heartbeat: false })
    return { containerId, slot, leaseId }
  }
  return { ...plan, pool, another, leaseElsewhere }
}

/** The backend of a plan, without a pool. */
export async function backendOf(t: Test, plan: PoolPlan): Promise<Backend> {
  const { backend, ...options } = plan.options
  if (backend) return backend
  const opened = await openBackend(loadConfig(options), () => {})
  t.teardown(() => opened.close())
  return opened
}
