import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type ErrorCode, errorTable, SlotpoolError } from '../../lib/errors.ts'
import { packageRoot } from '../../lib/package-root.ts'

const page = readFileSync(join(packageRoot(), 'docs', 'errors.md'), 'utf8')

/** What the page says of each code, in the order of its headings. */
const entries = page
  .split(/^#{2,3} (?=`)/m)
  .slice(1)
  .map((section) => {
    const [heading = '', facts = '', cause = '', action = ''] = section.split(/^## /m)[0]?.split('\n\n') ?? []
    const [, status, exitCode, retryable, failure] =
      /^HTTP (\d+) · exit code (\d+) · retryable: (yes|no) · failure: ([a-z]+)$/.exec(facts) ?? []
    return {
      code: heading.replaceAll('`', ''),
      facts: [Number(status), Number(exitCode), retryable, failure],
      cause: afterLabel(cause, '**Cause.** '),
      action: afterLabel(action, '**What to do.** '),
    }
  })

function afterLabel(paragraph: string, label: string): string {
  return paragraph.startsWith(label) ? paragraph.slice(label.length).trim().replaceAll('\n', ' ') : ''
}

t.test('the page has the codes of the table, no other, and in its order', async (t) => {
  t.same(
    entries.map(({ code }) => code),
    Object.keys(errorTable),
  )
})

for (const entry of entries) {
  t.test(`${entry.code} is on the page as it is in the table`, async (t) => {
    const { status, exitCode, retryable, failure, advice } = errorTable[entry.code as ErrorCode]
    t.same(entry.facts, [status, exitCode, retryable ? 'yes' : 'no', failure])
    t.equal(entry.action.slice(0, advice.length), advice)
    t.not(entry.cause, '')
  })
}

t.test('every code in the running text is one', async (t) => {
  const prefixes = new Set(Object.keys(errorTable).map((code) => code.split('_')[0]))
  const variables = /^(NOMAD_(ADDR|TOKEN|NAMESPACE|REGION|CACERT|CLIENT_CERT|CLIENT_KEY)|DOCKER_(HOST|CONTEXT|CONFIG))$/
  const named = [...page.matchAll(/`([A-Z]+_[A-Z_]+)`/g)].map(([, name]) => name as string)
  for (const name of new Set(named)) {
    if (prefixes.has(name.split('_')[0] as string) && !variables.test(name)) t.ok(Object.hasOwn(errorTable, name), name)
  }
})

t.test('advice is one short sentence, and an error carries that of its code', async (t) => {
  for (const [code, { advice }] of Object.entries(errorTable)) {
    t.match(advice, /^[A-Z][^\n]{1,119}\.$/, code)
    t.equal(new SlotpoolError(code as ErrorCode, 'x').advice, advice)
  }
})
