import t from 'tap'
import { isMarkOf, markOf } from '../../lib/sandbox/request-identity.ts'
import { executionRequest } from '../../lib/wire/execution.ts'

const long = 'x'.repeat(10_000)

t.test('what asks for the same is the same request, in whatever order', async (t) => {
  for (const [one, other] of [
    [{ env: { A: '1', B: '2' } }, { env: { B: '2', A: '1' } }],
    [{ env: {} }, {}],
    [
      { env: { A: '1' }, allowEnv: ['A', 'B'] },
      { env: { A: '1' }, allowEnv: ['B', 'A', 'B'] },
    ],
    [{ mergeStderr: false, allowEnv: [] }, {}],
    [{ env: { A: long, B: long } }, { env: { B: long, A: long } }],
  ] as const) {
    for (const command of ['true', long]) {
      const [first, second] = [one, other].map((more) => executionRequest.parse({ command, timeoutMs: 1, ...more }))
      if (first && second) t.ok(isMarkOf(markOf(first), second) && isMarkOf(markOf(second), first), JSON.stringify(one).slice(0, 50))
    }
  }
})

t.test('what asks for something else is not', async (t) => {
  const base = { command: 'true', timeoutMs: 1, env: { A: '1', B: '2' }, cwd: '/a', noOutputTimeoutMs: 5 }
  for (const change of [
    { command: 'true ' },
    { command: long },
    { timeoutMs: 2 },
    { noOutputTimeoutMs: 6 },
    { cwd: '/b' },
    { mergeStderr: true },
    { allowEnv: ['A'] },
    { env: { A: '1' } },
    { env: { A: '2', B: '1' } },
    { env: { A: '1', B: '2', C: '' } },
    { env: { A: '1","B":"2' } },
  ]) {
    const [one, other] = [executionRequest.parse(base), executionRequest.parse({ ...base, ...change })]
    t.notOk(isMarkOf(markOf(one), other) || isMarkOf(markOf(other), one), JSON.stringify(change).slice(0, 50))
  }
  const { cwd: _, ...without } = base
  t.notOk(isMarkOf(markOf(executionRequest.parse(base)), executionRequest.parse(without)))
})

t.test('little is kept of a long one', async (t) => {
  for (const more of [{ command: long }, { env: { A: long } }]) {
    t.equal(JSON.stringify(markOf(executionRequest.parse({ command: 'true', timeoutMs: 1, ...more }))).length, 46)
  }
})
