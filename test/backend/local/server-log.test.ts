import { closeSync, existsSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { boundLog, serverLog } from '../../../lib/backend/local/server-log.ts'

const line = (which: number) => `${JSON.stringify({ which, more: 'x'.repeat(80) })}\n`
const mib = 1024 * 1024

t.test('a log that has become too long goes on from its start, and its end is kept', async (t) => {
  const folder = t.testdir({})
  const log = openSync(serverLog(folder), 'a')
  t.teardown(() => closeSync(log))
  let which = 0
  for (let round = 1; round <= 3; round++) {
    for (let written = 0; written < 1.5 * mib; written += line(which).length) writeSync(log, line(which++))
    boundLog(folder)
    t.equal(statSync(serverLog(folder)).size, 0)
    const kept = readFileSync(join(folder, 'server.log.1'), 'utf8')
    t.ok(kept.length <= mib / 4)
    t.ok(kept.endsWith(line(which - 1)), 'the newest lines')
    t.ok(kept.startsWith('{'), 'whole ones')
    t.equal(statSync(join(folder, 'server.log.1')).mode & 0o077, 0)
  }
  writeSync(log, line(7))
  t.equal(readFileSync(serverLog(folder), 'utf8'), line(7), 'without a hole before it')
})

t.test('a short one stays, and none is none', async (t) => {
  const folder = t.testdir({ 'server.log': line(1) })
  boundLog(folder)
  t.equal(readFileSync(serverLog(folder), 'utf8'), line(1))
  t.notOk(existsSync(join(folder, 'server.log.1')))
  boundLog(join(folder, 'none'))
})
