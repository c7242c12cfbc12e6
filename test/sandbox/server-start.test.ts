import { pino } from 'pino'
import t from 'tap'
import { ScriptedJails, ScriptedRuntime } from '../../lib/backend/fake/scripted-runtime.ts'
import { SandboxClient } from '../../lib/client/sandbox-client.ts'
import type { Jail } from '../../lib/sandbox/jail/jail.ts'
import { SandboxServer } from '../../lib/sandbox/server.ts'

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

t.test('it serves before its slots are made: a lease waits for its own, the status for all', async (t) => {
  const kind = new HeldJails()
  const server = await SandboxServer.start({
    ...{ pool: 'test', slots: 3, token: 'x', slotsFolder: '/', log: pino({ enabled: false }) },
    isolation: { kind, reason: null, networkReason: null },
    runtime: new ScriptedRuntime(() => ({})),
  })
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
