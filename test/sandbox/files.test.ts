import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import t from 'tap'
import { JailFiles } from '../../lib/sandbox/files/jail-files.ts'
import type { Jail } from '../../lib/sandbox/jail/jail.ts'
import { MovedClock } from '../fixtures/moved-clock.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(60_000)

/** More than all buffers on the way hold. */
const largeBytes = 64 * 1024 * 1024
const makeLarge = `truncate -s ${largeBytes} large`

/** Reads the first bytes of a file, and leaves the rest. */
async function begin(content: Readable): Promise<void> {
  await once(content, 'readable')
}

for (const isolation of ['jail', 'none'] as const) {
  t.test(`isolation ${isolation}: a lease that ends in the middle of a read breaks it off`, async (t) => {
    const { client, lease } = await sandboxServer(t, { isolation })
    const { leaseId } = await lease('a')
    await ran(client, leaseId, makeLarge)
    t.equal((await buffer(await client.readFile(leaseId, 'large'))).length, largeBytes)
    const content = await client.readFile(leaseId, 'large')
    await begin(content)
    await client.release(leaseId)
    await t.rejects(buffer(content), { code: 'UND_ERR_SOCKET' }, 'a part is not taken for the file')
  })
}

t.test('a reader that is slow keeps its lease', async (t) => {
  const clock = new MovedClock()
  const { client } = await sandboxServer(t, { clock })
  const { lease } = await client.lease({ taskId: 'a', owner: 'me', ttlMs: 60_000 })
  await ran(client, lease.leaseId, makeLarge)
  const content = await client.readFile(lease.leaseId, 'large')
  await begin(content)
  clock.move(600_000)
  t.equal((await buffer(content)).length, largeBytes)
  t.equal((await ran(client, lease.leaseId, ': > empty; echo here')).stdout, 'here\n')
  t.equal((await buffer(await client.readFile(lease.leaseId, 'empty'))).length, 0)
})

t.test('a reader that goes away before the first byte is not waited for', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-fifo-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const fifo = join(folder, 'fifo')
  await promisify(execFile)('mkfifo', [fifo])
  const jail = { enter: () => ({ file: 'cat', args: [fifo] }), processes: async () => [] } as unknown as Jail
  const gone = new AbortController()
  const reading = new JailFiles().read({ jail }, 'silent', gone.signal)
  // Opens once the program has it open too.
  const writer = await open(fifo, 'w')
  t.teardown(() => writer.close())
  gone.abort()
  await t.rejects(reading, { code: 'CANCELLED' })
})
