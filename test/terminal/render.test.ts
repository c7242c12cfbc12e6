import t from 'tap'
import type { ExecResult } from '../../lib/pool/exec.ts'
import { renderResult } from '../../lib/terminal/render.ts'
import { limitNames, noLimits } from '../../lib/wire/limits.ts'

const result: ExecResult = {
  stdout: 'out',
  stderr: '',
  exitCode: 0,
  signal: null,
  timedOut: false,
  timeout: null,
  limit: null,
  failure: null,
  skippedEnv: [],
  truncated: false,
  durationMs: 1,
  phases: { clientMs: 0, wireMs: 0, queueMs: 0, enterMs: 0, runMs: 1, drainMs: 0 },
  executionId: 'e',
}
const limits = { ...noLimits, memoryBytes: { value: 512 * 2 ** 20, by: 'cgroup' } } as const
const render = (change: Partial<ExecResult>) => renderResult({ ...result, ...change }, { timeoutMs: 5000, noOutputTimeoutMs: 1500, limits })

t.test('a command that ended by itself', async (t) => {
  t.same(render({ exitCode: 3 }), { output: 'out', exit_code: 3, error: null })
})

t.test('either time is up', async (t) => {
  const failure = { kind: 'timeout', retryable: false } as const
  const over = { exitCode: null, signal: 'SIGKILL', timedOut: true, failure } as const
  t.match(render({ ...over, timeout: 'total' }), {
    output: 'out',
    exit_code: 124,
    error: /^timeout: The command timed out after 5 s; .*longer timeout/,
  })
  t.match(render({ ...over, timeout: 'no-output' }), { exit_code: 124, error: /^timeout: The command wrote nothing for 1\.5 s; / })
})

t.test('a limit is named in one line, with what to do, and changes no exit code', async (t) => {
  t.same(render({ exitCode: null, signal: 'SIGKILL', limit: 'memory' }), {
    output: 'out',
    exit_code: 137,
    error:
      'limit: The memory limit of this slot (memory 512 MiB) was reached: what asked for more was ended. Work on less at once, or in parts.',
  })
  for (const limit of limitNames) {
    const { error, exit_code } = render({ exitCode: 1, limit })
    t.match(error, new RegExp(`^limit: The ${limit} limit of this slot.* was reached: .*\\. [A-Z][^\\n]*\\.$`))
    t.equal(exit_code, 1)
  }
  t.match(
    render({ exitCode: null, signal: 'SIGKILL', timedOut: true, timeout: 'total', limit: 'processes' }).error,
    /timed out.*processes limit/,
  )
})
