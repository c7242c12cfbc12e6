import { readFile } from 'node:fs/promises'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.ts'
import { type Recording, replay } from './contract/recording.ts'
import { runScenario } from './contract/run-scenario.ts'
import { scenarios } from './contract/scenarios.ts'

const recording = JSON.parse(await readFile(`${packageRoot()}/test/nomad/contract/recorded.json`, 'utf8')) as Recording

t.comment(`recorded from Nomad ${recording.nomad}`)

t.test('each scenario is recorded, and no other', async (t) => {
  t.match(recording.nomad, /^\d+\.\d+\.\d+/)
  t.same(Object.keys(recording.scenarios), Object.keys(scenarios))
})

for (const [name, exchanges] of Object.entries(recording.scenarios)) {
  t.test(name, async (t) => {
    await runScenario(t, name, await replay(exchanges, 'any'), 'any')
  })
}

t.test('a replay fails for what is not recorded, and for what is left over', async (t) => {
  const one = { method: 'GET', path: '/v1/agent/health', query: [], token: true, status: 200, answer: {} }
  const other = await replay([], 'any')
  t.equal((await fetch(`${other.address}/v1/agent/health`)).status, 501)
  await t.rejects(other.close(), { message: /not recorded.*agent\/health/ })
  await t.rejects((await replay([one], 'any')).close(), { message: /never asked for: GET \/v1\/agent\/health/ })
})
