import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

t.setTimeout(240_000)

t.test('of 500 commands at once, each gets its own output to the last byte', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const commands = Array.from({ length: 500 }, (_, i) => {
    const lines = i % 10 === 0 ? 20_000 : (i * 7) % 300
    // Every third leaves a child behind that holds the pipe open; it ends with the lease.
    return {
      i,
      lines,
      command: `${i % 3 === 0 ? `${sleeper.command(20)} & ` : ''}seq -f 'command ${i} line %g' 1 ${lines}; printf last-${i}`,
    }
  })
  const results = await Promise.all(commands.map((one) => ran(client, leaseId, one.command)))
  const wrong = commands.filter(({ i, lines }) => {
    const expected = `${Array.from({ length: lines }, (_, line) => `command ${i} line ${line + 1}\n`).join('')}last-${i}`
    const result = results[i]
    return result?.stdout !== expected || result.stdoutBytes !== expected.length || result.missedBytes !== 0 || result.exitCode !== 0
  })
  t.same(wrong, [])
})

t.test('all that a pipe can hold when its command ends is read, even if the pipe was made larger', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  // F_SETPIPE_SZ is 1031 (fcntl(2)); the reader is kept from reading until the command has written all of it.
  const bytes = 900_000
  const script = `import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, b'x' * ${bytes})`
  const result = await ran(client, leaseId, `python3 -c "${script}"`)
  t.match(result, { exitCode: 0, stdoutBytes: bytes, missedBytes: 0 })
  t.equal(result.stdout.length, bytes)
})

t.test('a background child that never stops writing delays nothing for ever', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const result = await ran(client, leaseId, 'yes & echo started')
  t.match(result, { exitCode: 0, timedOut: false })
  t.match(result.stdout, /^started$/m)
  await client.release(leaseId)
})

t.test('who reads slowly makes the command wait, and misses nothing', async (t) => {
  const { client, lease } = await sandboxServer(t)
  const { leaseId } = await lease('a')
  const bytes = 8 * 1024 * 1024
  const result = await ran(client, leaseId, `seq 1 2000000 | head -c ${bytes}`)
  t.match(result, { stdoutBytes: bytes, missedBytes: 0 })
  t.equal(result.stdout.length, bytes)
})
