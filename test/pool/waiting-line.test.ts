import fc from 'fast-check'
import t from 'tap'
import { letOthersFirst, WaitingLine } from '../../lib/pool/waiting-line.ts'

const never = new AbortController().signal

t.test('who came before is served before, though it gets in line later', async (t) => {
  const line = new WaitingLine()
  const order: string[] = []
  let done = (): void => {}
  const first = line.inTurn(never, () => new Promise<void>((resolve) => (done = resolve)))
  await null
  const early = line.ticket()
  const late = line.inTurn(never, async () => order.push('late'))
  const between = line.inTurn(never, async () => order.push('early'), early)
  done()
  await Promise.all([first, late, between])
  t.same(order, ['early', 'late'])
})

t.test('who is at its head while one comes who was there before lets that one go first', async (t) => {
  const line = new WaitingLine()
  const order: string[] = []
  const early = line.ticket()
  const ticket = line.ticket()
  let turns = 0
  const late = line.inTurn(
    never,
    async () => {
      turns++
      while (turns === 1 && !line.isOvertaking(ticket)) await new Promise((resolve) => setImmediate(resolve))
      if (turns === 1) return letOthersFirst
      order.push('late')
      return 'served'
    },
    ticket,
  )
  await line.inTurn(never, async () => order.push('early'), early)
  t.equal(await late, 'served')
  t.same(order, ['early', 'late'])
  t.equal(line.length, 0)
})

t.test('one at a time, in the order they came, whoever gives up', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.record({ givesUp: fc.boolean(), fails: fc.boolean() }), { maxLength: 8 }),
      async (s, all) => {
        const line = new WaitingLine()
        const order: number[] = []
        let inside = 0
        const work = (i: number, fails: boolean) => async () => {
          order.push(i)
          t.equal(++inside, 1)
          await s.schedule(Promise.resolve(), `work ${i}`)
          inside--
          if (fails) throw new Error('of the work')
        }
        const all_ = all.map(async ({ givesUp, fails }, i) => {
          const controller = new AbortController()
          const waiting = line.inTurn(controller.signal, work(i, fails)).catch((error) => error)
          if (givesUp) void s.schedule(Promise.resolve(), `give up ${i}`).then(() => controller.abort())
          return waiting
        })
        t.equal(line.length, all.length)
        await s.waitFor(Promise.all(all_))
        t.same(
          order,
          [...order].sort((a, b) => a - b),
        )
        for (const [i, { givesUp }] of all.entries()) if (!givesUp) t.ok(order.includes(i), 'who stays has its turn')
        t.equal(line.length, 0)
      },
    ),
  )
})

t.test('who gives up is told at once, and those behind still wait for those before', async (t) => {
  const line = new WaitingLine()
  let finish = (): void => {}
  const first = line.inTurn(never, () => new Promise<void>((resolve) => (finish = resolve)))
  const controller = new AbortController()
  const second = line.inTurn(controller.signal, async () => t.fail('it gave up'))
  let thirdRan = false
  const third = line.inTurn(never, async () => {
    thirdRan = true
  })
  t.equal(line.length, 3)
  controller.abort()
  await t.rejects(second, { code: 'CANCELLED' })
  t.equal(line.length, 2)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(thirdRan, false)
  finish()
  await Promise.all([first, third])
  t.ok(thirdRan)
  await t.rejects(
    line.inTurn(AbortSignal.abort(), async () => {}),
    { code: 'CANCELLED' },
  )
  t.equal(line.length, 0)
})
