import t from 'tap'
import { SlotpoolError } from '../../lib/errors.ts'
import { type BlockingParameters, followQuery } from '../../lib/nomad/blocking-query.ts'

const firstPauseMs = 1

interface Round {
  index?: number
  value?: string
  error?: Error
}

/** Follows a query that gives these rounds, then ends; what it was asked and what it told. */
async function follow(rounds: Round[]): Promise<{ asked: BlockingParameters[]; told: string[] }> {
  const end = new AbortController()
  const asked: BlockingParameters[] = []
  const told: string[] = []
  const query = async (parameters: BlockingParameters) => {
    const round = rounds[asked.length]
    asked.push(parameters)
    if (round === undefined) {
      end.abort()
      throw new SlotpoolError('CANCELLED', 'the end')
    }
    if (round.error) throw round.error
    return { index: round.index ?? 0, value: round.value ?? '' }
  }
  await followQuery(query, (value) => told.push(value), end.signal, { firstPauseMs })
  return { asked, told }
}

const unavailable = new SlotpoolError('NOMAD_UNAVAILABLE', 'gone')

t.test('each round waits for what is newer than the last answer', async (t) => {
  const { asked, told } = await follow([
    { index: 5, value: 'a' },
    { index: 9, value: 'b' },
  ])
  t.strictSame(told, ['a', 'b'])
  t.strictSame(asked, [{}, { index: 5, wait: '2000ms' }, { index: 9, wait: '2000ms' }])
})

t.test('an answer with the same index tells nothing new', async (t) => {
  const { told } = await follow([
    { index: 5, value: 'a' },
    { index: 5, value: 'a' },
    { index: 6, value: 'b' },
  ])
  t.strictSame(told, ['a', 'b'])
})

t.test('an index that goes backwards starts anew, and its answer counts', async (t) => {
  const { asked, told } = await follow([
    { index: 50, value: 'a' },
    { index: 3, value: 'b' },
    { index: 3, value: 'c' },
  ])
  t.strictSame(told, ['a', 'b', 'c'])
  t.strictSame(
    asked.map((one) => one.index),
    [undefined, 50, undefined, 3],
  )
})

t.test('index 0 would not block, so 1 is asked for', async (t) => {
  const { asked } = await follow([{ index: 0, value: 'a' }])
  t.strictSame(
    asked.map((one) => one.index),
    [undefined, 1],
  )
})

t.test('a failure that may pass is retried from the beginning', async (t) => {
  const { asked, told } = await follow([{ index: 5, value: 'a' }, { error: unavailable }, { error: unavailable }, { index: 5, value: 'b' }])
  t.strictSame(told, ['a', 'b'])
  t.strictSame(
    asked.map((one) => one.index),
    [undefined, 5, undefined, undefined, 5],
  )
})

t.test('a failure that will not pass is thrown at once', async (t) => {
  const error = new SlotpoolError('NOMAD_FORBIDDEN', 'no')
  await t.rejects(follow([{ index: 5 }, { error }]), { code: 'NOMAD_FORBIDDEN' })
  await t.rejects(follow([{ error: new TypeError('a mistake') }]), TypeError)
})

t.test('seven failures in a row are thrown, six and a success are not', async (t) => {
  const failures = (count: number): Round[] => Array.from({ length: count }, () => ({ error: unavailable }))
  await t.rejects(follow(failures(7)), { code: 'NOMAD_UNAVAILABLE' })
  t.strictSame((await follow([...failures(6), { index: 1, value: 'a' }, ...failures(6)])).told, ['a'])
})

t.test('what onValue throws ends it', async (t) => {
  const query = async () => ({ index: 1, value: 'a' })
  const onValue = () => {
    throw new Error('enough')
  }
  await t.rejects(followQuery(query, onValue, new AbortController().signal), { message: 'enough' })
})

t.test('an abort ends it, also during a pause and without asking once more', async (t) => {
  const end = new AbortController()
  let asked = 0
  const query = async () => {
    asked += 1
    setImmediate(() => end.abort())
    throw unavailable
  }
  await followQuery(query, () => t.fail('nothing to tell'), end.signal, { firstPauseMs: 3_600_000 })
  t.equal(asked, 1)
  await followQuery(query, () => t.fail('nothing to tell'), end.signal)
  t.equal(asked, 1)
})
