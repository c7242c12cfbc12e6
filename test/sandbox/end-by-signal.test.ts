import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { packageRoot } from '../../lib/package-root.ts'
import { wipeSlotFolders } from '../../lib/sandbox/slot-folders.ts'
import { ran } from '../fixtures/sandbox-server.ts'
import { sourceLoader, sourcePath } from '../fixtures/source.ts'

t.setTimeout(90_000)

const hourMs = 3_600_000

/** A sandbox server in a process of its own. */
async function serverProcess(t: Test, drainMs?: number) {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-signal-'))
  t.teardown(() => wipeSlotFolders(folder))
  await chmod(folder, 0o711)
  await writeFile(join(folder, 'token'), 'x')
  const socketPath = join(folder, 'socket')
  const args = ['--listen', `unix:${socketPath}`, '--token-file', join(folder, 'token'), '--state-dir', join(folder, 'state')]
  args.push('--pool', 'test', '--slots', '2', '--isolation', 'none', '--network', 'host')
  if (drainMs !== undefined) args.push('--drain-ms', String(drainMs))
  const program = `import { serve } from '${sourcePath('lib/sandbox/main.ts')}'; await serve(process.argv.slice(1))`
  const child = spawn(process.execPath, [...sourceLoader, '--input-type=module', '-e', program, '--', ...args], {
    cwd: packageRoot(),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, SLOTPOOL_READY_FD: '3' },
  })
  const log = text(child.stderr as NonNullable<ChildProcess['stderr']>)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const said = await text(child.stdio[3] as NonNullable<ChildProcess['stderr']>)
  if (!said.includes('ready')) throw new Error(`it did not start: ${said}${await log}`)
  const client = new SandboxClient({ url: 'http://slotpool', socketPath }, 'x')
  t.teardown(() => client.close())
  const { leaseId } = (await client.lease({ taskId: 'a', owner: 'me', ttlMs: hourMs })).lease
  const begin = async (command: string) => {
    let begun = (): void => {}
    const started = new Promise<void>((resolve) => {
      begun = resolve
    })
    const running = ran(client, leaseId, `echo started; ${command}`, { onStdout: () => begun() })
    running.catch(() => {})
    await started
    return { running }
  }
  const cleanEnd = async () => {
    t.equal(await ended, 0, await log)
    t.same(await readdir(join(folder, 'state', 'slots')), [], 'nothing of its slots is left')
  }
  return { child, client, leaseId, begin, cleanEnd }
}

t.test('told to end, it lets commands end first, those that come under leases that stand included', async (t) => {
  const { child, client, leaseId, begin, cleanEnd } = await serverProcess(t, hourMs)
  const { running } = await begin('until [ -e go ]; do sleep 0.02; done; echo done')
  child.kill('SIGTERM')
  while ((await client.load()).state !== 'draining');
  await t.rejects(client.lease({ taskId: 'b', owner: 'me', ttlMs: 1000 }), { code: 'SLOT_UNAVAILABLE', details: { draining: true } })
  t.equal((await client.setDraining(false, 1)).state, 'draining', 'nobody talks it out of that')
  t.equal((await client.lease({ taskId: 'a', owner: 'me', ttlMs: hourMs })).lease.leaseId, leaseId)
  t.match(await ran(client, leaseId, 'echo more; touch go'), { stdout: 'more\n', exitCode: 0 })
  t.match(await running, { stdout: 'started\ndone\n', exitCode: 0, cancelled: false })
  await cleanEnd()
})

t.test('commands that take longer than they may are ended, and their callers told so', async (t) => {
  const { child, begin, cleanEnd } = await serverProcess(t, 300)
  const { running } = await begin('sleep 600')
  child.kill('SIGTERM')
  await t.rejects(running, { code: 'LEASE_LOST', failure: 'lost', message: /shut down/ })
  await cleanEnd()
})

for (const second of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`who says it twice, by ${second}, has it end at once`, async (t) => {
    const { child, client, begin, cleanEnd } = await serverProcess(t, hourMs)
    const { running } = await begin('sleep 600')
    child.kill('SIGTERM')
    while ((await client.load()).state !== 'draining');
    child.kill(second)
    await t.rejects(running, { code: 'LEASE_LOST' })
    await cleanEnd()
  })
}

t.test('by SIGINT it ends at once, and by SIGTERM where no time was given', async (t) => {
  for (const [signal, drainMs] of [
    ['SIGINT', hourMs],
    ['SIGTERM', undefined],
  ] as const) {
    const { child, begin, cleanEnd } = await serverProcess(t, drainMs)
    const { running } = await begin('sleep 600')
    child.kill(signal)
    await t.rejects(running, { code: 'LEASE_LOST' }, signal)
    await cleanEnd()
  }
})

t.test('with nothing to wait for it ends at once, though leases stand', async (t) => {
  const { child, cleanEnd } = await serverProcess(t, hourMs)
  child.kill('SIGTERM')
  await cleanEnd()
})
