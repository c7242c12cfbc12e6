import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as fake from '../lib/backend/fake/index.ts'
import * as slotpool from '../lib/index.ts'
import { packageRoot } from '../lib/package-root.ts'

t.test('what the package exports', async (t) => {
  t.same(Object.keys(slotpool).sort(), [
    'SlotPool',
    'SlotpoolError',
    'Terminal',
    'cleanupTerminal',
    'closeTerminal',
    'describeTerminal',
    'errorTable',
    'failureKinds',
    'openProvider',
    'terminalTool',
    'terminalToolSchema',
  ])
  t.same(Object.keys(fake), ['FakeBackend'])
})

t.test('every file that package.json names is there', async (t) => {
  const { exports, bin, files } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))
  const conditions = Object.values<string | Record<string, string>>(exports)
  const named = [
    ...conditions.flatMap((one) => (typeof one === 'string' ? one : Object.values(one))),
    ...Object.values<string>(bin),
    // What begins with ! is left out of the package, and may not be there.
    ...files.filter((path: string) => !path.startsWith('!')),
  ]
  for (const path of named) t.ok(existsSync(join(packageRoot(), path)), path)
})
