import t from 'tap'
import { type ErrorCode, errorTable, SlotpoolError } from '../lib/errors.ts'
import { failureKinds } from '../lib/failure.ts'

const codes = Object.keys(errorTable) as ErrorCode[]

t.test('every row of the table', async (t) => {
  for (const code of codes) {
    const { status, exitCode, retryable, failure } = errorTable[code]
    t.match(code, /^[A-Z]+(_[A-Z]+)*$/)
    t.ok(status >= 400 && status <= 599, `${code} has the status of an error`)
    t.equal(exitCode, ['CONFIG_UNKNOWN_VARIABLE', 'CONFIG_INVALID', 'MOUNT_INVALID', 'USAGE'].includes(code) ? 2 : 125)
    const error = new SlotpoolError(code, 'what happened')
    t.match(error, { name: 'SlotpoolError', code, message: 'what happened', retryable, status, exitCode })
    t.ok(error instanceof Error)
    t.ok(failureKinds.includes(error.failure))
    t.same(JSON.parse(JSON.stringify(error)), { code, message: 'what happened', retryable, failure })
  }
})

t.test('what is no fault of the command is not taken for one', async (t) => {
  t.equal(new SlotpoolError('EXECUTION_OUTCOME_UNKNOWN', 'x').failure, 'unknown')
  t.equal(new SlotpoolError('CANCELLED', 'x').failure, 'cancelled')
  for (const code of ['SERVER_UNREACHABLE', 'LEASE_LOST', 'JAIL_FAILED', 'POOL_FULL', 'NOMAD_UNAVAILABLE', 'INTERNAL'] as const)
    t.equal(new SlotpoolError(code, 'x').failure, 'lost', code)
})

t.test('an error crosses the wire as it is', async (t) => {
  const sent = new SlotpoolError('POOL_FULL', 'full', { details: { slots: 3 }, retryable: false, cause: new Error('within') })
  const got = SlotpoolError.fromBody(JSON.parse(JSON.stringify(sent)))
  t.match(got, { code: 'POOL_FULL', message: 'full', retryable: false, details: { slots: 3 } })
  t.equal(got.cause, undefined, 'but for its cause')
})

t.test('a code that this version does not know', async (t) => {
  for (const code of ['FROM_THE_FUTURE', 'toString', '__proto__']) {
    t.match(SlotpoolError.fromBody({ code, message: 'what happened', retryable: true }), {
      code: 'INTERNAL',
      message: `${code}: what happened`,
      retryable: true,
    })
  }
})

t.test('what is not ours', async (t) => {
  const ours = new SlotpoolError('USAGE', 'x')
  t.equal(SlotpoolError.from(ours), ours)
  const cause = new TypeError('of Node')
  t.match(SlotpoolError.from(cause), { code: 'INTERNAL', message: 'unexpected failure: of Node', cause })
  t.match(SlotpoolError.from('thrown text'), { code: 'INTERNAL', message: 'unexpected failure: thrown text' })
})
