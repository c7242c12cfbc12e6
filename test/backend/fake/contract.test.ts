import t from 'tap'
import { FakeBackend } from '../../../lib/backend/fake/fake-backend.ts'
import { scriptedShell } from '../../fixtures/scripted-shell.ts'
import { testName } from '../../fixtures/test-name.ts'
import { backendContract } from '../contract.ts'

t.setTimeout(480_000)

for (const connections of ['loopback', 'memory'] as const) {
  await t.test(connections, { timeout: 240_000 }, (t) =>
    backendContract(t, {
      name: 'fake',
      mounts: false,
      makeOptions: async (t, size) => {
        const backend = new FakeBackend({ script: scriptedShell(), slots: size.slots, connections })
        t.teardown(() => backend.destroy())
        return {
          options: { ...size, pool: testName(), backend },
          kill: ({ id }) => backend.kill(id),
          left: async () => (await backend.list()).map((one) => one.id),
        }
      },
    }),
  )
}
