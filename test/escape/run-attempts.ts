import { deepEqual } from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import type { SlotPool } from '../../lib/pool/slot-pool.ts'
import { testName } from '../fixtures/test-name.ts'
import { Absent, type Attempt, type Scene, type SubjectName } from './attempt.ts'
import type { Beside } from './beside.ts'
import { type GuardedPool, guardedPool } from './guarded-server.ts'
import { countAll, markedProcesses } from './leftovers.ts'
import { openScene } from './scene.ts'

/** A pool as users have it, and the place of its one server. */
export interface Subject {
  name: SubjectName
  pool: SlotPool
  beside: Beside
  /** The whole container is the test's own: what an attempt ruins there costs nothing beside the pool. */
  ownContainer: boolean
  /**
   * The subject with which the controls are run: they are the same whatever they are compared with. Here, those of attempts that it leaves out.
   * Default: this one.
   */
  controlledWith?: SubjectName
}

/** How many attempts are under way at once. */
export const atOnce = 3

/** What goes on behind an answer is over by then. */
const settleMs = 10_000

/** Slots for as many attempts, and as many again, so that none waits for a slot to be made anew. */
export const slotsNeeded = atOnce * 4

/** Runs each attempt, first its control, then against the subject. */
export async function runAttempts(t: Test, subject: Subject, attempts: readonly Attempt[]): Promise<void> {
  const run = testName()
  const before = await countAll(subject.pool, subject.beside, run)
  const permissive = await guardedPool('none', slotsNeeded)
  t.teardown(() => permissive.end())

  await t.test('beside each other', { jobs: atOnce }, async (t) => {
    for (const attempt of attempts.filter((one) => !alone(one, subject)))
      void t.test(attempt.name, { buffered: true, skip: notHere(attempt, subject), timeout: 120_000 }, (t) =>
        tryOne(t, attempt, { subject, control: permissive, tried: subject, run }),
      )
  })

  for (const attempt of attempts.filter((one) => alone(one, subject)))
    await t.test(attempt.name, { skip: notHere(attempt, subject), timeout: 120_000 }, async (t) => {
      // Made for this attempt alone, since it may ruin them.
      const own: GuardedPool[] = []
      const make = async (isolation: 'none' | 'jail'): Promise<GuardedPool> => {
        const pool = await guardedPool(isolation, 4)
        own.push(pool)
        return pool
      }
      try {
        const control = noControl(attempt, subject) === undefined ? await make('none') : permissive
        await tryOne(t, attempt, { subject, control, tried: subject.ownContainer ? subject : await make('jail'), run })
      } finally {
        for (const pool of own) await pool.end()
      }
    })

  await t.test('what is left when all is released', async (t) => {
    let after = await countAll(subject.pool, subject.beside, run)
    // Shells that wait are made behind an answer: some more or fewer of them are there for a moment.
    for (const giveUpAt = Date.now() + settleMs; !isDeepStrictEqual(after, before) && Date.now() < giveUpAt; await delay(100)) {
      after = await countAll(subject.pool, subject.beside, run)
    }
    t.comment(`before: ${JSON.stringify(before)}; after: ${JSON.stringify(after)}`)
    t.same(after, before)
    t.same(after.marked, [])
  })
}

function alone(attempt: Attempt, subject: Subject): boolean {
  return attempt.ruins !== undefined || (attempt.ownNetwork === true && !subject.ownContainer)
}

function notHere(attempt: Attempt, { name }: Subject): string | false {
  return attempt.except?.[name] ?? false
}

/** Why an attempt has no control here. */
function noControl({ controlNeedsRoot, except }: Attempt, { controlledWith }: Subject): string | undefined {
  if (controlledWith !== undefined && !except?.[controlledWith]) return `it is run with ${controlledWith}`
  return process.geteuid?.() === 0 ? undefined : controlNeedsRoot
}

interface Trial {
  subject: Subject
  control: Pick<GuardedPool, 'pool' | 'beside'>
  tried: Pick<GuardedPool, 'pool' | 'beside'>
  run: string
}

async function tryOne(t: Test, attempt: Attempt, { subject, control, tried, run }: Trial): Promise<void> {
  const without = noControl(attempt, subject)
  if (without === undefined) {
    try {
      const begun = performance.now()
      const evidence = await inScene(control, run, attempt.control ?? ((scene) => attempt.escape(scene)), attempt.ruins !== undefined)
      t.ok(evidence, 'the control succeeds')
      t.comment(`control, ${Math.round(performance.now() - begun)} ms: ${evidence}`)
    } catch (error) {
      if (!(error instanceof Absent)) throw error
      t.pass(attempt.name, { skip: `nothing to try: ${error.message}` })
      return
    }
  } else t.comment(`no control: ${without}`)

  const unless = attempt.unless
  const evidence = await inScene(
    tried,
    run,
    async (scene) => {
      const reason = unless?.(scene.attacker, subject.name) ?? false
      if (reason !== false) {
        t.pass(attempt.name, { skip: reason })
        return null
      }
      const evidence = await attempt.escape(scene).catch((error) => {
        if (!(error instanceof Absent)) throw error
        t.pass(attempt.name, { skip: `nothing to try: ${error.message}` })
        return null
      })
      const { stdout } = await scene.neighbour.exec('echo still here')
      deepEqual(stdout, 'still here\n', 'the neighbour goes on working')
      return evidence
    },
    false,
  )
  t.equal(evidence, null, 'it is held')
}

async function inScene(
  { pool, beside }: Pick<GuardedPool, 'pool' | 'beside'>,
  run: string,
  work: (scene: Scene) => Promise<string | null>,
  mayBeRuined: boolean,
): Promise<string | null> {
  const scene = await openScene(pool, beside, run)
  let evidence: string | null
  try {
    evidence = await work(scene)
  } catch (error) {
    await scene.end().catch(() => {})
    throw error
  }
  if (mayBeRuined) return evidence
  await scene.end()
  if (!evidence) deepEqual(await markedProcesses(beside, scene.mark), [], 'each release leaves no process')
  return evidence
}
