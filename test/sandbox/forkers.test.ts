import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { allProcesses, processStat, processUid } from '../../lib/sandbox/processes.ts'
import { signalUser } from '../../lib/sandbox/signal-user.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

t.setTimeout(60_000)

/** Each process of these chains forks the next and exits: a walk through /proc meets few of them, and those have gone when they are signalled. */
const forkers = `perl -e 'for (1..24) { if (fork() == 0) { while (1) { exit 0 if fork() } } }'`

/** Few enough to be singled out on a busy machine before the whole slot is ended instead. */
const fewForkers = forkers.replace('24', '4')

const skip = process.geteuid?.() === 0 ? false : 'only root can give each slot a uid of its own'

/** How many processes the user has that are more than a note of their end. */
async function running(uid: number): Promise<number> {
  const pids = await allProcesses()
  const own = await Promise.all(
    pids.map(async (pid) => (await processUid(pid)) === uid && /^[^ZX]$/.test((await processStat(pid))?.state ?? 'X')),
  )
  return own.filter(Boolean).length
}

t.test('isolation uid: chains of processes that fork and exit end with their lease', { skip }, async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'uid', slots: 1 })
  const { leaseId } = await lease('a')
  const uid = Number((await ran(client, leaseId, 'id -u')).stdout)
  t.teardown(async () => {
    const { file, args } = signalUser(uid, 'SIGKILL')
    while ((await running(uid)) > 0) await once(spawn(file, args, { stdio: 'ignore' }), 'exit')
  })
  t.equal((await ran(client, leaseId, `${forkers} > /dev/null 2>&1`)).exitCode, 0)
  await client.release(leaseId)
  // A walk may miss them: those that are alive are stopped, and then seen.
  const { file, args } = signalUser(uid, 'SIGSTOP')
  await once(spawn(file, args, { stdio: 'ignore' }), 'exit')
  t.equal(await running(uid), 0)
})

t.test('no other user than a slot’s is ever signalled', (t) => {
  for (const uid of [0, 1, 999, process.getuid?.() ?? 0, -1, Number.NaN, 1000.5]) {
    t.throws(() => signalUser(uid, 'SIGKILL'), /expected the uid of a slot/)
  }
  t.end()
})

// Not `uid`: there such chains can outlast a timeout, which docs/protocol.md says. They end with the lease, as tested above.
for (const isolation of ['jail'] as const) {
  t.test(`isolation ${isolation}: at a timeout such chains end, and all else in the slot goes on`, async (t) => {
    const { client, lease } = await sandboxServer(t, { isolation, slots: 1 })
    const { leaseId } = await lease('a')
    t.teardown(() => client.release(leaseId).catch(() => {}))
    await ran(
      client,
      leaseId,
      `${sleeper.command(1)} > /dev/null 2>&1 & echo $! > pid; (kill -STOP $BASHPID; touch woken) > /dev/null 2>&1 &`,
    )
    let begun = (): void => {}
    const beside = new Promise<void>((resolve) => {
      begun = resolve
    })
    const other = ran(client, leaseId, 'echo begun; until [ -e over ]; do sleep 0.01; done; echo done', { onStdout: () => begun() })
    await beside
    const cut = await Promise.all(
      [1, 2].map(() => ran(client, leaseId, `${fewForkers} 2> /dev/null; while :; do sleep 0.01; done`, { request: { timeoutMs: 700 } })),
    )
    for (const one of cut) t.match(one, { timedOut: true, signal: 'SIGKILL' })
    t.equal((await ran(client, leaseId, 'touch over')).exitCode, 0)
    t.match(await other, { stdout: 'begun\ndone\n', exitCode: 0 })
    t.equal(
      (await ran(client, leaseId, 'grep -q ^State:.S /proc/$(cat pid)/status')).exitCode,
      0,
      'what an earlier command left in the background',
    )
    t.equal((await ran(client, leaseId, '[ -e woken ]')).exitCode, 1, 'what the tenant had stopped stays so')
    // Alive or not is seen only of those that stand still.
    const count = await ran(client, leaseId, "kill -s STOP -- -1; cat /proc/[0-9]*/stat 2> /dev/null | grep '(perl)' | grep -vc ') Z'")
    t.equal(count.stdout, '0\n')
  })
}
