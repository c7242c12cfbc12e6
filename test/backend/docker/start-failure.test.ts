import t from 'tap'
import { startFailure } from '../../../lib/backend/docker/start-failure.ts'

const happened = 'ended with exit code 1 before its sandbox server answered'

t.test('the error that the sandbox server printed is thrown as it is', async (t) => {
  const body = { code: 'ISOLATION_UNAVAILABLE', message: 'no namespaces', retryable: false, details: { wanted: 'jail' } }
  t.match(startFailure('container x', happened, `{"level":30}\nslotpool-error: ${JSON.stringify(body)}\n`), body)
})

t.test('without one, or with a broken one, it is the end of what was printed', async (t) => {
  const printed = Array.from({ length: 50 }, (_, line) => `line ${line}`).join('\n')
  const error = startFailure('container x', happened, `${printed}\nslotpool-error: {"code"\n`)
  t.equal(error.code, 'CONTAINER_FAILED')
  t.match(error.message, /^container x ended with exit code 1 before its sandbox server answered\. Its last lines:\nline 31\n/)
  t.match(startFailure('container x', happened, '').message, /It printed nothing\.$/)
})
