import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

const asRoot = process.geteuid?.() === 0

for (const isolation of asRoot ? (['jail', 'uid', 'none'] as const) : (['jail', 'none'] as const)) {
  t.test(`a ready slot whose folders are gone is nobody's, isolation ${isolation}`, { timeout: 60_000 }, async (t) => {
    const { client, lease, folder } = await sandboxServer(t, { isolation })
    while ((await client.idle(60_000)) < 2);
    const slots = join(folder, 'slots')
    const first = (await readdir(slots)).find((name) => name.startsWith('0-')) as string
    // What a cleaner of old files does. The folder of an overlay stays, for its mount.
    for (const name of await readdir(join(slots, first)))
      await rm(join(slots, first, name), { recursive: true, force: true }).catch(() => {})
    const { slot, leaseId } = await lease('a')
    t.equal(slot, 1)
    t.equal((await ran(client, leaseId, 'echo hello')).stdout, 'hello\n')
    while ((await client.load()).outOfService === 0);
    t.match(await client.status(), {
      slots: [
        { state: 'quarantined', reason: /broke its health check: its folder .* is gone/, uses: 0 },
        { state: 'leased', reason: null, uses: 1 },
      ],
    })
    await t.rejects(lease('b'), { code: 'SLOT_UNAVAILABLE', message: /broke its health check/ })
    await client.release(leaseId)
    t.equal((await lease('b')).slot, 1)
  })
}
