import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { pino } from 'pino'
import t from 'tap'
import { ScriptedJails, ScriptedRuntime } from '../../lib/backend/fake/scripted-runtime.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import { packageRoot } from '../../lib/package-root.ts'
import type { Jail } from '../../lib/sandbox/jail/jail.ts'
import { allProcesses } from '../../lib/sandbox/processes.ts'
import { SandboxServer } from '../../lib/sandbox/server.ts'
import { wipeSlotFolders } from '../../lib/sandbox/slot-folders.ts'
import { sourceLoader, sourcePath } from '../fixtures/source.ts'

/** Jails that are made when the test says so. */
class HeldJails extends ScriptedJails {
  readonly #waiting: (() => void)[] = []
  #letAll = false

  override async make(): Promise<Jail> {
    if (!this.#letAll) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return super.make()
  }

  letOne(): void {
    this.#waiting.shift()?.()
  }

  letAll(): void {
    this.#letAll = true
    for (const go of this.#waiting.splice(0)) go()
  }
}

/** A server whose slots are made when the test says so. */
async function heldServer(slots: number): Promise<{ kind: HeldJails; server: SandboxServer }> {
  const kind = new HeldJails()
  const server = await SandboxServer.start({
    ...{ pool: 'test', slots, token: 'x', slotsFolder: '/', log: pino({ enabled: false }) },
    isolation: { kind, reason: null, networkReason: null },
    runtime: new ScriptedRuntime(() => ({})),
  })
  return { kind, server }
}

t.test('it serves before its slots are made: a lease waits for its own, the status for all', async (t) => {
  const { kind, server } = await heldServer(3)
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  const client = new SandboxClient({ url }, 'x')
  t.teardown(async () => {
    kind.letAll()
    await client.close()
    await server.close()
  })
  t.match(await client.health(), { ok: true })
  t.match(server.status(), { slots: [{ state: 'preparing' }, { state: 'preparing' }, { state: 'preparing' }] })
  const leasing = client.lease({ taskId: 'a', owner: 'me', ttlMs: 60_000 })
  kind.letOne()
  t.match(await leasing, { created: true, lease: { taskId: 'a' } })
  const status = client.status()
  kind.letAll()
  const { slots } = await status
  t.same(slots.map((one) => one.state).sort(), ['idle', 'idle', 'leased'])
})

t.test('a server that cannot make ready what commands need has ended the jail that it was given', async (t) => {
  const ended: string[] = []
  class NotedJails extends ScriptedJails {
    override async wipe(root?: string): Promise<void> {
      ended.push(root ?? '')
    }
  }
  class UnfitRuntime extends ScriptedRuntime {
    override async start(): Promise<void> {
      throw new Error('no pipes here')
    }
  }
  const kind = new NotedJails()
  const jail = await kind.make()
  const starting = SandboxServer.start({
    ...{ pool: 'test', slots: 1, token: 'x', slotsFolder: '/', log: pino({ enabled: false }) },
    isolation: { kind, reason: null, networkReason: null, first: { jail, root: '/first' } },
    runtime: new UnfitRuntime(() => ({})),
  })
  await t.rejects(starting, { message: 'no pipes here' })
  t.same(ended, ['/first'])
})

const asRoot = process.geteuid?.() === 0

for (const isolation of asRoot ? (['jail', 'uid'] as const) : (['jail'] as const)) {
  t.test(`a server that cannot listen leaves nothing of its slots, isolation ${isolation}`, { timeout: 60_000 }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'slotpool-start-'))
    t.teardown(() => wipeSlotFolders(folder))
    // Where slots are kept apart by uid alone, their users pass through.
    await chmod(folder, 0o711)
    await writeFile(join(folder, 'token'), 'x')
    // Nothing can listen in a folder that is not there.
    const args = ['--listen', `unix:${folder}/missing/socket`, '--token-file', join(folder, 'token'), '--state-dir', join(folder, 'state')]
    args.push('--pool', 'test', '--slots', '2', '--isolation', isolation, '--network', 'host')
    const program = `import { serve } from '${sourcePath('lib/sandbox/main.ts')}'; await serve(process.argv.slice(1))`
    const child = spawn(process.execPath, [...sourceLoader, '--input-type=module', '-e', program, '--', ...args], {
      cwd: packageRoot(),
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const [said, code] = await Promise.all([text(child.stderr), new Promise((resolve) => child.once('close', resolve))])
    t.equal(code, 1, said)
    t.match(said, /slotpool-error: .*missing/)
    t.same(await readdir(join(folder, 'state', 'slots')), [])
    t.notOk(existsSync(join(folder, 'state', 'pipes')))
    const commands = await Promise.all((await allProcesses()).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
    t.same(
      commands.filter((one) => one.includes(`${folder}/state/slots`)),
      [],
    )
  })
}

t.test('a client that falls silent is tried, so that one whose machine is gone is known to be', async (t) => {
  const { kind, server } = await heldServer(1)
  const { port } = new URL(await server.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(async () => {
    kind.letAll()
    await server.close()
  })
  const socket = connect(Number(port), '127.0.0.1')
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.write('GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(socket, 'data')
  const { stdout } = await promisify(execFile)('ss', ['-tnoH', `sport = :${port} and dport = :${socket.localPort}`])
  t.match(stdout, /timer:\(keepalive,/)
})
