import t from 'tap'
import { interleave, type Schedule } from '../../bench/interleave.ts'
import { Random } from '../../bench/random.ts'

const schedule = (own: Partial<Schedule> = {}): Schedule => ({
  samples: 20,
  burst: 2,
  warmup: 1,
  budgetMs: 60_000,
  settleMs: 0,
  random: new Random(7),
  signal: new AbortController().signal,
  ...own,
})

/** Contestants that write down their turns. */
function contestants(names: readonly string[]) {
  const turns: string[] = []
  return { turns, all: names.map((name) => ({ name, once: async () => turns.push(name) })) }
}

t.test('everyone takes part in each round, in bursts, in an order that changes and that the seed gives', async (t) => {
  const run = async (seed: number) => {
    const { turns, all } = contestants(['a', 'b', 'c'])
    const measured = await interleave(all, schedule({ random: new Random(seed) }))
    t.same(
      measured.map(({ name, rounds }) => [name, rounds.length, rounds.flat().length]),
      [
        ['a', 10, 20],
        ['b', 10, 20],
        ['c', 10, 20],
      ],
    )
    return turns.slice(3)
  }
  const turns = await run(7)
  const rounds = Array.from({ length: 10 }, (_, round) => turns.slice(round * 6, round * 6 + 6).join(''))
  for (const round of rounds) t.match(round, /^(aa|bb|cc){3}$/)
  t.ok(rounds.every((round) => ['aa', 'bb', 'cc'].every((burst) => round.includes(burst))))
  t.ok(new Set(rounds).size > 1, 'the order changes')
  t.same(await run(7), turns)
  t.not((await run(8)).join(''), turns.join(''))
})

t.test('one that fails is left out with its reason, and the others go on', async (t) => {
  let left = 5
  const failing = {
    name: 'failing',
    once: async () => {
      if (left-- === 0) throw new Error('out of order')
      return 1
    },
  }
  const { all } = contestants(['a'])
  const [first, second] = await interleave([failing, ...all], schedule())
  t.match(first, { name: 'failing', failure: 'out of order' })
  t.equal(first?.rounds.flat().length, 4, 'what it measured before is kept')
  t.equal(second?.rounds.flat().length, 20)
})

t.test('one that is slow takes part in fewer rounds, spread over the run', async (t) => {
  const slow = { name: 'slow', once: () => new Promise<number>((resolve) => setTimeout(() => resolve(20), 20)) }
  const { all } = contestants(['a'])
  const [first, second] = await interleave([slow, ...all], schedule({ budgetMs: 130 }))
  t.equal(second?.rounds.flat().length, 20)
  const samples = first?.rounds.flat().length as number
  t.ok(samples >= 2 && samples <= 6, `${samples} samples`)
})

t.test('an abort ends it', async (t) => {
  const ending = new AbortController()
  let runs = 0
  const one = {
    name: 'a',
    once: async () => {
      if (++runs === 5) ending.abort(new Error('enough'))
      return 1
    },
  }
  await t.rejects(interleave([one], schedule({ signal: ending.signal })))
  t.equal(runs, 5)
})
