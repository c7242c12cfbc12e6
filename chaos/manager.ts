// A manager of a pool, as a user of the SDK may write one: it does what its supervisor gives it, and remembers nothing.
import { openBackend } from '../lib/backend/open-backend.ts'
import { loadConfig } from '../lib/config.ts'
import { SlotpoolError } from '../lib/errors.ts'
import { SlotPool } from '../lib/pool/slot-pool.ts'
import { Mailbox } from './mailbox.ts'
import { backendOfSupervisor, byProxies } from './managed-backend.ts'
import type { ToManager } from './messages.ts'
import { whenPlaced } from './when-placed.ts'
import { workThrough } from './work-through.ts'

let pool: SlotPool | undefined
let mark = ''
const underWay = new Set<Promise<void>>()

const mailbox = new Mailbox((message) => {
  switch (message.type) {
    case 'open':
      void open(message)
      return
    case 'task':
      follow(workThrough(pool as SlotPool, mailbox, mark, message.task, message.soFar))
      return
    case 'end':
      void end()
  }
})

// Without a supervisor nobody would hear how a task ends.
process.on('disconnect', () => process.exit(1))

async function open(how: Extract<ToManager, { type: 'open' }>): Promise<void> {
  mark = how.mark
  try {
    pool = await whenPlaced(() => openPool(how))
    await mailbox.send({ type: 'ready' })
  } catch (error) {
    await mailbox.send({ type: 'unable', error: SlotpoolError.from(error).toJSON() })
    process.exit(1)
  }
}

async function openPool({ options, backend }: Extract<ToManager, { type: 'open' }>): Promise<SlotPool> {
  // A pool that could not be opened has closed its backend.
  const inner = backend === 'own' ? await openBackend(loadConfig(options), () => {}) : backendOfSupervisor(mailbox)
  return SlotPool.open({ ...options, backend: byProxies(inner, mailbox) })
}

function follow(work: Promise<void>): void {
  const followed = work.catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
  underWay.add(followed)
  void followed.finally(() => underWay.delete(followed))
}

async function end(): Promise<void> {
  await Promise.all(underWay)
  await pool?.close()
  process.exit(0)
}
