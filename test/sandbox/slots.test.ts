import { availableParallelism } from 'node:os'
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import type { Jail, JailKind } from '../../lib/sandbox/jail/jail.ts'
import type { ControlGroups } from '../../lib/sandbox/limits/control-groups.ts'
import { Slots } from '../../lib/sandbox/slots.ts'

/** Jails that the test ends, and that fail as often as it says. */
class WatchedJails implements JailKind {
  readonly level = 'uid'
  readonly network = 'host'
  readonly root = 'shared'
  readonly user = 'agent'
  /** The slot numbers that have a jail right now, or one that is being ended. */
  readonly living: number[] = []
  readonly made: { number: number; root: string; die: () => void }[] = []
  readonly wiped: string[] = []
  failures = 0
  /** What each jail waits for while it is made. */
  holdMaking: Promise<void> = Promise.resolve()
  /** Jails begun, those included that are not made yet. */
  begun = 0
  /** What an ending jail waits for. */
  hold: Promise<void> = Promise.resolve()

  async make(slot: number, root: string): Promise<Jail> {
    this.begun++
    await this.holdMaking
    if (this.failures > 0) {
      this.failures--
      throw new SlotpoolError('JAIL_FAILED', 'as the test wants it')
    }
    if (this.living.includes(slot)) throw new Error(`slot ${slot} has a jail already`)
    this.living.push(slot)
    let over = (): void => {}
    const ended = new Promise<void>((resolve) => {
      let once = true
      over = () => {
        if (once && this.living.includes(slot)) this.living.splice(this.living.indexOf(slot), 1)
        once = false
        resolve()
      }
    })
    this.made.push({ number: slot, root, die: over })
    const { hold } = this
    const end = async () => {
      await this.hold.then(() => hold)
      over()
    }
    const view = { workspace: '/', home: '/', tmp: '/' }
    const { level, network, root: kind, user } = this
    return { level, network, root: kind, user, view, enter: () => ({ file: '', args: [] }), processes: async () => [], ended, end }
  }

  async wipe(root: string): Promise<void> {
    this.wiped.push(root)
  }
}

async function started(t: Test, count: number, kind = new WatchedJails()) {
  const slots = new Slots({ count, kind, folder: '/slots', log: pino({ enabled: false }) })
  await slots.start()
  t.teardown(() => slots.close())
  return { slots, kind }
}

t.test('all are made ahead, and wiped at the end', async (t) => {
  const kind = new WatchedJails()
  const slots = new Slots({ count: 3, kind, folder: '/slots', log: pino({ enabled: false }) })
  await slots.start()
  t.same(
    kind.made.map((one) => one.number),
    [0, 1, 2],
  )
  t.equal(slots.idle, 3)
  await slots.close()
  t.same(kind.wiped.sort(), kind.made.map((one) => one.root).sort())
  t.same(kind.living, [])
})

t.test('the first is made before the others, and had while they are made; what is not begun at the end is not made', async (t) => {
  const kind = new WatchedJails()
  let letGo = (): void => {}
  const held = (): Promise<void> =>
    new Promise((resolve) => {
      letGo = resolve
    })
  kind.holdMaking = held()
  const count = availableParallelism() + 5
  const slots = new Slots({ count, kind, folder: '/slots', log: pino({ enabled: false }) })
  const filled = slots.start()
  const taking = slots.take()
  await turnOfTheLoop()
  t.equal(kind.begun, 1)
  const letFirstGo = letGo
  kind.holdMaking = held()
  letFirstGo()
  const first = await taking
  await turnOfTheLoop()
  t.equal(first.number, 0)
  t.equal(slots.idle, 0)
  t.equal(kind.begun, 1 + availableParallelism())
  await slots.giveBack(first)
  const closing = slots.close()
  letGo()
  await Promise.all([closing, filled])
  t.equal(kind.begun, 1 + availableParallelism())
  t.same(kind.living, [])
})

t.test('a jail that is there already is slot 0 once, and then ends as any other', async (t) => {
  const kind = new WatchedJails()
  const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
  const slots = new Slots({ count: 2, kind, folder: '/slots', first, log: pino({ enabled: false }) })
  await slots.start()
  t.same(
    kind.made.map((one) => one.number),
    [0, 1],
  )
  const slot = await slots.take()
  t.equal(slot.jail, first.jail)
  await slots.giveBack(slot)
  await slots.take()
  const again = await slots.take()
  t.equal(again.number, 0)
  t.not(again.jail, first.jail)
  t.same(kind.wiped, [first.root])
})

t.test('a jail that is there already is ended and wiped when the slots are closed, or have no control group for it', async (t) => {
  for (const groups of [null, { slot: () => Promise.reject(new Error('no group')) } as unknown as ControlGroups]) {
    const kind = new WatchedJails()
    const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
    const slots = new Slots({ count: 1, kind, folder: '/slots', first, groups, log: pino({ enabled: false }) })
    await slots.start()
    t.equal(slots.state(0), groups ? 'failed' : 'idle')
    await slots.close()
    t.same(kind.living, [])
    t.same(kind.wiped, [first.root])
  }
})

t.test('a jail that is there already and ends by itself is no slot of anybody', async (t) => {
  const kind = new WatchedJails()
  const first = { jail: await kind.make(0, '/slots/0-first'), root: '/slots/0-first' }
  kind.made[0]?.die()
  const slots = new Slots({ count: 1, kind, folder: '/slots', first, log: pino({ enabled: false }) })
  await slots.start()
  const { number, jail } = await slots.take()
  t.equal(number, 0)
  t.not(jail, first.jail)
  t.same(kind.wiped, [first.root])
})

t.test('a number is not used again while its processes may live', async (t) => {
  const { slots, kind } = await started(t, 2)
  const [first, second] = [await slots.take(), await slots.take()]
  let letGo = (): void => {}
  kind.hold = new Promise((resolve) => {
    letGo = resolve
  })
  const slow = slots.giveBack(first)
  const slowToo = slots.giveBack(second)
  letGo()
  kind.hold = Promise.resolve()
  await Promise.all([slow, slowToo])
  const again = [await slots.take(), await slots.take()]
  t.same(again.map((one) => one.number).sort(), [0, 1])
  for (const one of again) await slots.giveBack(one)
})

t.test('while one is still being ended, another that came back keeps its own number', async (t) => {
  const { slots, kind } = await started(t, 2)
  const [first, second] = [await slots.take(), await slots.take()]
  let letGo = (): void => {}
  const stuck = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const end = first.jail.end.bind(first.jail)
  first.jail.end = () => stuck.then(end)
  const slow = slots.giveBack(first)
  await slots.giveBack(second)
  const next = await slots.take()
  t.equal(next.number, second.number)
  t.equal(slots.state(first.number), 'wiping')
  letGo()
  await slow
  const last = await slots.take()
  t.equal(last.number, first.number)
  t.same(kind.living.sort(), [0, 1])
  await slots.giveBack(next)
  await slots.giveBack(last)
})

t.test('nobody waits for a slot that is already promised', async (t) => {
  const { slots } = await started(t, 2)
  const asked = await Promise.allSettled(Array.from({ length: 5 }, () => slots.take()))
  const got = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  t.equal(got.length, 2)
  for (const one of asked) if (one.status === 'rejected') t.match(one.reason, { code: 'SLOT_UNAVAILABLE', cause: undefined })
  for (const one of got) await slots.giveBack(one)
})

t.test('a ready jail that ended by itself is replaced before anybody gets it', async (t) => {
  const { slots, kind } = await started(t, 1)
  kind.made[0]?.die()
  await new Promise((resolve) => setImmediate(resolve))
  const slot = await slots.take()
  t.equal(kind.made.length, 2)
  t.same(kind.wiped, [kind.made[0]?.root])
  t.same(kind.living, [0], 'the one that was handed out lives')
  await slots.giveBack(slot)
})

t.test('a slot that could not be made is an error for one, then tried anew', async (t) => {
  const kind = new WatchedJails()
  kind.failures = 1
  const { slots } = await started(t, 1, kind)
  t.equal(slots.state(0), 'failed')
  await t.rejects(slots.take(), { code: 'JAIL_FAILED', message: 'as the test wants it' })
  const slot = await slots.take()
  t.equal(slot.number, 0)
  await slots.giveBack(slot)
})

t.test('a slot that could not be made is passed over for one that is idle', async (t) => {
  const kind = new WatchedJails()
  kind.failures = 1
  const { slots } = await started(t, 3, kind)
  const taken = [await slots.take(), await slots.take(), await slots.take()]
  t.same(taken.map((one) => one.number).sort(), [0, 1, 2])
  for (const one of taken) await slots.giveBack(one)
})

t.test('a number whose processes could not be ended is not used again before they are', async (t) => {
  const { slots, kind } = await started(t, 1)
  const first = await slots.take()
  const end = first.jail.end.bind(first.jail)
  let stuck = true
  first.jail.end = () => (stuck ? Promise.reject(new SlotpoolError('JAIL_FAILED', 'they live')) : end())
  await t.rejects(slots.giveBack(first), { message: 'they live' })
  await t.rejects(slots.take(), { message: 'they live' })
  t.equal(slots.state(0), 'failed')
  t.equal(kind.made.length, 1)
  stuck = false
  await slots.take().catch(() => {})
  const next = await slots.take()
  t.equal(next.number, 0)
  await slots.giveBack(next)
})

t.test('waiting for an idle slot', async (t) => {
  const { slots } = await started(t, 1)
  // Its time limits keep no process alive; a server has a socket that does.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  t.equal(await slots.whenIdle(60_000), 1)
  const slot = await slots.take()
  t.equal(await slots.whenIdle(0), 0)
  t.equal(await slots.whenIdle(1), 0)
  t.equal(await slots.whenIdle(60_000, AbortSignal.abort()), 0)
  const waiting = slots.whenIdle(60_000)
  await slots.giveBack(slot)
  t.equal(await waiting, 1)
})
