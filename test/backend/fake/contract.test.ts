import t from 'tap'
import { FakeBackend } from '../../../lib/backend/fake/fake-backend.ts'
import { scriptedShell } from '../../fixtures/scripted-shell.ts'
import { testName } from '../../fixtures/test-name.ts'
import { backendContract } from '../contract.ts'

t.setTimeout(240_000)

await backendContract(t, {
  name: 'fake',
  mounts: false,
  makeOptions: async (t, size) => {
    const backend = new FakeBackend({ script: scriptedShell(), slots: size.slots })
    t.teardown(() => backend.destroy())
    return {
      options: { ...size, pool: testName(), backend },
      left: async () => (await backend.list()).map((one) => one.id),
    }
  },
})
