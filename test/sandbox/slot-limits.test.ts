import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(120_000)

const mib = 2 ** 20
const skip = process.geteuid?.() === 0 ? false : 'an ordinary user has no control groups of its own'

t.test('who runs into a limit is told which; the neighbour goes on', { skip }, async (t) => {
  const limits = { memoryBytes: 128 * mib, processes: 64, diskBytes: 32 * mib }
  const { client, lease, server } = await sandboxServer(t, { isolation: 'jail', slots: 2, limits })
  const neighbour = (await lease('neighbour')).leaseId
  t.match(server.status().limits, {
    memoryBytes: { value: 128 * mib, by: 'cgroup' },
    processes: { value: 64, by: 'cgroup' },
    diskBytes: { value: 32 * mib, by: 'watch' },
  })
  await ran(client, neighbour, 'sleep 8640021 & echo mine > file')
  const cases = [
    ['memory', `python3 -c 'x = []\nwhile True: x.append(bytearray(10 ** 7))'`],
    ['processes', `python3 -c 'import subprocess\nfor _ in range(100): subprocess.Popen(["sleep", "8640022"])'`],
    ['disk', 'yes > file'],
    ['disk', 'i=0; while head -c 1M /dev/zero > file-$i; do i=$((i + 1)); done'],
    ['disk', `python3 -c 'import itertools\nfor i in itertools.count(): open(f"{i}", "w")'`],
  ] as const
  for (const [index, [limit, command]] of cases.entries()) {
    const { leaseId } = await lease(`task-${index}`)
    const request = { timeoutMs: 60_000 }
    t.match(await ran(client, leaseId, command, { request }), { limit, timedOut: false, cancelled: false }, command)
    t.match(await ran(client, neighbour, 'pgrep -f "[s]leep 8640021" > /dev/null && cat file'), { stdout: 'mine\n', limit: null })
    await client.release(leaseId)
  }
})

t.test('a slot that is full can be tidied up and goes on', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', slots: 1, limits: { diskBytes: 16 * mib } })
  const { leaseId } = await lease('a')
  const fill = 'for i in 1 2 3 4 5 6 7 8; do head -c 8M /dev/zero > file-$i; done; sleep 60'
  t.match(await ran(client, leaseId, fill), { limit: 'disk', exitCode: null })
  t.match(await ran(client, leaseId, 'echo more > more; rm file-*'), { exitCode: 0 })
  t.match(await ran(client, leaseId, 'echo more > more && cat more'), { stdout: 'more\n', limit: null })
})

t.test('output and silence have their limits, too, and what was written until then is there', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', slots: 1, limits: { outputBytes: 100_000 } })
  const { leaseId } = await lease('a')
  const much = await ran(client, leaseId, 'echo first; yes & yes >&2')
  t.match(much, { limit: 'output', exitCode: null, signal: 'SIGKILL', timedOut: false, cancelled: false, stdout: /^first\n/ })
  t.equal((await ran(client, leaseId, 'pgrep yes')).exitCode, 1)

  const silence = await ran(client, leaseId, 'echo one; sleep 0.2; echo two >&2; sleep 8640023 & sleep 8640023', {
    request: { timeoutMs: 60_000, noOutputTimeoutMs: 1000 },
  })
  t.match(silence, { timedOut: true, timeout: 'no-output', stdout: 'one\n', stderr: 'two\n', limit: null })
  t.equal((await ran(client, leaseId, 'pgrep -f "[s]leep 8640023"')).exitCode, 1)
  const chatty = await ran(client, leaseId, 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done', {
    request: { timeoutMs: 60_000, noOutputTimeoutMs: 1000 },
  })
  t.match(chatty, { exitCode: 0, timeout: null })
})
