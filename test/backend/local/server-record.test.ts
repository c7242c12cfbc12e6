import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { readRecord, type ServerRecord, writeRecord } from '../../../lib/backend/local/server-record.ts'
import { sourceLoader, sourcePath } from '../../fixtures/source.ts'

const record: ServerRecord = {
  id: 'a',
  pid: 1,
  startTicks: 2,
  place: { machine: 'a', bootId: 'b', pidNamespace: 'c' },
  socketPath: '/nowhere/server.sock',
  stateDir: '/nowhere/state',
  ready: false,
  version: { id: '1a2b3c4d', generation: 0, image: null },
  shape: { image: null, slots: 1, isolation: 'none', network: 'host', limits: {}, networkAllow: [], mounts: [] },
}

t.test('what several write at once is written as a whole, and nothing else is left', async (t) => {
  const folder = t.testdir({})
  // Who started a server and who looks at it find it ready in one moment.
  await Promise.all(Array.from({ length: 50 }, () => writeRecord(folder, { ...record, ready: true })))
  t.same(readRecord(folder), { ...record, ready: true })
  t.same(await readdir(folder), ['server.json'])
})

t.test('a record that cannot be read is not as good as none', async (t) => {
  t.equal(readRecord(t.testdir({})), undefined)
  t.equal(readRecord(t.testdir({ 'server.json': '{' })), undefined)
  t.throws(() => readRecord(t.testdir({ 'server.json': {} })), { code: 'BACKEND_UNAVAILABLE', message: /EISDIR/ })
})

t.test('a process of which it cannot be found out whether it lives is not gone', async (t) => {
  const script = `
    import { openSync } from 'node:fs'
    import { processLife } from '${sourcePath('lib/backend/process-life.ts')}'
    const say = () => { try { return processLife({ pid: process.pid, startTicks: 0 }) } catch (error) { return error.code + ' ' + error.message } }
    const first = say()
    try { for (;;) openSync('/dev/null') } catch {}
    const second = say()
    process.stdout.write(JSON.stringify([first, second, process.pid]))
  `
  const { stdout } = await promisify(execFile)('bash', [
    '-c',
    'ulimit -n 256; exec "$0" "$@"',
    process.execPath,
    ...sourceLoader,
    '--input-type=module',
    '-e',
    script,
  ])
  const [first, second, pid] = JSON.parse(stdout)
  t.equal(first, 'gone', 'another one had its pid')
  t.match(second, `BACKEND_UNAVAILABLE it cannot be found out whether process ${pid} lives: EMFILE`)
})
