import { once } from 'node:events'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Cleanup } from '../bench/cleanup.ts'
import type { Backend } from '../lib/backend/backend.ts'
import type { SlotPoolOptions } from '../lib/config.ts'
import { SlotPool } from '../lib/pool/slot-pool.ts'
import type { ChaosOptions } from './arguments.ts'
import { backendWith } from './backend-with.ts'
import { ledgerName, ledgerTarget, outputLimitBytes } from './command-text.ts'
import { CuttingProxies } from './cutting-proxies.ts'
import { planFaults } from './fault-plan.ts'
import { type InjectedFault, Injector } from './injector.ts'
import { endingOf, type Observations } from './judge.ts'
import { readLedger } from './ledger.ts'
import type { Questions } from './messages.ts'
import { makePlace } from './places/make-place.ts'
import type { Place } from './places/place.ts'
import { Supervisor } from './supervisor.ts'
import { planTasks } from './task-plan.ts'
import { TaskRecord } from './task-record.ts'

/** Of all slots so many have a task: when containers are missing, some wait in line. */
const share = 0.8

/** Longer than any command, lease or recovery takes: a run without a step for so long stands still. */
const standstillMs = 150_000

/** What is given back behind a call, and what a process that was killed held, is gone by then. */
const patienceMs = 15_000
const lookPauseMs = 200

/** What a run takes part in. */
export interface Stage {
  options: ChaosOptions
  /** Names the pool, and is in the command line or environment of all that belongs to it. */
  mark: string
  /** A folder of the run. */
  folder: string
  cleanup: Cleanup
  signal: AbortSignal
  say: (line: string) => void
}

export interface Outcome extends Observations {
  injected: readonly InjectedFault[]
}

/** Runs all tasks with all faults, takes the pool down, and looks what is left. */
export async function runChaos(stage: Stage): Promise<Outcome> {
  const { options, mark, folder, cleanup, signal, say } = stage
  const ledgerFolder = join(folder, 'ledger')
  await mkdir(ledgerFolder)
  // Where slots are not root they are users of their own.
  await chmod(ledgerFolder, 0o777)
  const ledger = join(ledgerFolder, ledgerName)
  const plans = planTasks(options.seed, options.tasks, options.commands)
  const tasks = plans.map((plan) => new TaskRecord(plan))
  const commands = plans.reduce((sum, one) => sum + one.commands.length, 0)

  const own = poolOptions(stage, ledgerFolder)
  const place = makePlace(options.backend, { pool: mark, options: own, slots: options.slots }, { plans, ledger })
  cleanup.add('let go of the backend', () => place.close())
  const poolAsOpened = { ...own, ...place.options }
  const { pool, down } = await openPool(stage, place, poolAsOpened)
  const proxies = new CuttingProxies(folder)
  cleanup.add('close the proxies', () => proxies.close())
  const supervisor = new Supervisor({
    tasks,
    managers: options.managers,
    inHand: Math.max(1, Math.ceil((share * options.slots * options.containers) / options.managers)),
    pool: poolAsOpened,
    backend: place.managersUse,
    mark,
    answer: (question) =>
      question.kind === 'route' ? proxies.route(question.container.id, question.endpoint) : call(place.backend, question),
  })
  const injector = new Injector({
    plan: planFaults(options.seed, options.faults, options.tasks, commands),
    place,
    proxies,
    supervisor,
    containers: options.containers,
    refill: () => pool.fill(signal),
    say,
    signal,
  })
  const endManagers = cleanup.add('end the managers', () => supervisor.close('at once'))

  const surprises = await follow(stage, supervisor, tasks)
  await injector.settled()
  const ended = supervisor.close('when done').then(() => true)
  if (!(await Promise.race([ended, delay(patienceMs, false)])))
    surprises.push(`managers had not closed their pool after ${patienceMs / 1000} s`)
  await endManagers()
  const leased = await untilEmpty(async () => stillLeased(pool))
  await place.note()
  await pool.close()
  await down()
  const left = await untilEmpty(() => place.left())
  return {
    tasks,
    ledger: await readLedger(ledger),
    leased,
    left,
    notInjected: injector.notInjected,
    surprises: [...surprises, ...supervisor.surprises, ...supervisor.nonsense, ...injector.failures],
    injected: injector.injected,
  }
}

function poolOptions({ options, mark }: Stage, ledgerFolder: string): SlotPoolOptions {
  const { slots, containers, backend } = options
  const real: SlotPoolOptions = {
    limits: { outputBytes: outputLimitBytes },
    mounts: [{ host: ledgerFolder, target: ledgerTarget, readOnly: false }],
  }
  return {
    pool: mark,
    slots,
    min: containers,
    max: containers,
    lifetimeMs: 60_000,
    // A scripted slot has neither limits nor files of the host: the script sees to both.
    ...(backend === 'fake' ? {} : real),
  }
}

/** A pool that is taken down however the run ends. */
interface ChaosPool {
  pool: SlotPool
  down: () => Promise<void>
}

/** Opens the pool and waits for all its containers. */
async function openPool({ options, cleanup, signal, say }: Stage, place: Place, how: SlotPoolOptions): Promise<ChaosPool> {
  say(`starting ${options.containers} containers`)
  // Registered before there is anything, since a start that is cut off may have made something.
  const down = cleanup.add('take the pool down', () => place.backend.destroy())
  // A pool closes its backend with itself; the place needs its own for longer.
  const backend = backendWith(place.backend, { close: async () => {} })
  const pool = await SlotPool.open({ ...how, backend, signal })
  cleanup.add('close the pool', () => pool.close())
  await pool.fill(signal)
  await place.note()
  return { pool, down }
}

/** Resolves when all tasks have ended, or with why they will not. */
async function follow({ signal, say }: Stage, supervisor: Supervisor, tasks: readonly TaskRecord[]): Promise<string[]> {
  const over = once(supervisor, 'over', { signal })
  supervisor.start()
  let toldAt = 0
  supervisor.on('step', (task) => {
    if (task.state === 'over') tellFailure(task, say)
    const ended = supervisor.tasksEnded
    if (ended < toldAt + tasks.length / 10) return
    toldAt = ended
    say(`${ended} of ${tasks.length} tasks have ended`)
  })
  for (;;) {
    const ended = await Promise.race([over.then(() => true), delay(1_000, false, { signal })])
    if (ended) return []
    if (Date.now() - supervisor.lastStepAtMs < standstillMs) continue
    const where = supervisor.underWay.slice(0, 10).map(({ plan, state, soFar }) => `${plan.id} ${state}, command ${soFar.next}`)
    return [`nothing happened for ${standstillMs / 1000} s: ${where.join('; ')}`]
  }
}

function tellFailure(task: TaskRecord, say: (line: string) => void): void {
  const failure = endingOf(task)
  if (!failure) return
  const met = task.touches.map(({ fault, name }) => `fault ${fault + 1}, ${name}`).join('; ') || 'no fault'
  say(`task ${task.plan.id}: ${failure.failure} at ${failure.at}, met by ${met}: ${failure.code}: ${failure.message}`)
}

/** What the supervisor's backend says to a manager that has none. */
function call(backend: Backend, { method, args }: Questions['backend']): Promise<unknown> {
  const asked = Reflect.get(backend, method) as ((...args: unknown[]) => Promise<unknown>) | undefined
  if (typeof asked !== 'function') throw new Error(`got method ${method}, which the backend does not have`)
  return asked.apply(backend, args)
}

async function stillLeased(pool: SlotPool): Promise<string[]> {
  const { containers } = await pool.status()
  return containers.flatMap(({ id, slots }) =>
    slots.filter((one) => one.state === 'leased').map((one) => `slot ${one.slot} of container ${id} by task ${one.task_id}`),
  )
}

/** What there still is when all that goes behind something has had its time. */
async function untilEmpty(look: () => Promise<string[]>): Promise<string[]> {
  for (const giveUpAt = Date.now() + patienceMs; ; await delay(lookPauseMs)) {
    const found = await look()
    if (found.length === 0 || Date.now() > giveUpAt) return found
  }
}
