import { createHash } from 'node:crypto'
import t from 'tap'
import { execute, type OutputSink } from '../../lib/client/execute.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(120_000)

const mebibyte = 1024 * 1024

/** Numbers, so that a part that is missing, doubled or out of order shows. */
const numbers = (bytes: number): string => `seq 1 1000000000 | head -c ${bytes}`

function digest(bytes: number): string {
  const hash = createHash('sha256')
  let left = bytes
  for (let at = 1; left > 0; at += 10_000) {
    const text = Array.from({ length: 10_000 }, (_, i) => `${at + i}\n`)
      .join('')
      .slice(0, left)
    left -= text.length
    hash.update(text)
  }
  return hash.digest('hex')
}

t.test('a long output arrives as it was written, whatever its reader waits for', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const bytes = 32 * mebibyte
  const hash = createHash('sha256')
  let waits = 0
  const sink: OutputSink = {
    onStdout: (chunk) => {
      hash.update(chunk)
      return waits++ % 7 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined
    },
    onStderr: () => {},
    onGap: () => t.fail('nothing is missed'),
  }
  const request = { command: `${numbers(bytes)} & ${numbers(mebibyte)} >&2; wait`, timeoutMs: 60_000 }
  t.match(await execute(client, { leaseId, executionId: 'long', request, sink }), {
    exitCode: 0,
    stdoutBytes: bytes,
    stderrBytes: mebibyte,
  })
  t.equal(hash.digest('hex'), digest(bytes))
})

t.test('a reader that does not read on makes the command wait', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  let waiting: Promise<string> | undefined
  const sink: OutputSink = {
    onStdout: () => {
      waiting ??= ran(client, leaseId, 'test -e written || echo not yet').then(({ stdout }) => stdout)
      return waiting
    },
    onStderr: () => {},
    onGap: () => t.fail('nothing is missed'),
  }
  const request = { command: `head -c ${16 * mebibyte} /dev/zero; touch written`, timeoutMs: 60_000 }
  t.match(await execute(client, { leaseId, executionId: 'slow', request, sink }), { exitCode: 0, stdoutBytes: 16 * mebibyte })
  t.equal(await waiting, 'not yet\n')
})

t.test('each of several readers gets all of it', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const bytes = 8 * mebibyte
  const reader = (): { sink: OutputSink; digest: () => string } => {
    const hash = createHash('sha256')
    return {
      sink: { onStdout: (chunk) => void hash.update(chunk), onStderr: () => {}, onGap: () => t.fail('nothing is missed') },
      digest: () => hash.digest('hex'),
    }
  }
  const [first, second] = [reader(), reader()]
  const request = { command: `until test -e go; do sleep 0.01; done; ${numbers(bytes)}`, timeoutMs: 60_000 }
  const running = execute(client, { leaseId, executionId: 'shared', request, sink: first.sink })
  await ran(client, leaseId, 'true')
  const looking = execute(client, { leaseId, executionId: 'shared', sink: second.sink })
  await ran(client, leaseId, 'touch go')
  t.match(await Promise.all([running, looking]), [{ stdoutBytes: bytes }, { stdoutBytes: bytes }])
  t.equal(first.digest(), digest(bytes))
  t.equal(second.digest(), digest(bytes))
})
