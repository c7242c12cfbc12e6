import { readdir } from 'node:fs/promises'
import t from 'tap'
import { readRecord, type ServerRecord, writeRecord } from '../../../lib/backend/local/server-record.ts'

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
