import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { agentVersion } from '../../../lib/nomad/agent.ts'
import { packageRoot } from '../../../lib/package-root.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadSkip } from '../../fixtures/require-service.ts'
import { differences } from '../../nomad/contract/difference.ts'
import { type Recording, record } from '../../nomad/contract/recording.ts'
import { runScenario } from '../../nomad/contract/run-scenario.ts'
import { scenarios } from '../../nomad/contract/scenarios.ts'

const skip = await nomadSkip()
const file = `${packageRoot()}/test/nomad/contract/recorded.json`

t.setTimeout(120_000)

/**
 * The contract that test/nomad/contract.test.ts replays, spoken with a real agent. With SLOTPOOL_RECORD=1 what it says becomes the recording; else it is
 * held against the one there is.
 */
t.test('a real agent keeps the contract, and answers as the recorded one did', { skip }, async (t) => {
  const agent = await nomadAgent(t, { acl: true, driver: 'raw_exec' })
  const token = agent.connection.token ?? ''
  const now: Recording = { nomad: await agentVersion(agent.client), scenarios: {} }
  for (const name of Object.keys(scenarios)) {
    const stand = await record(agent.address, token)
    await t.test(name, (t) => runScenario(t, name, stand, token))
    now.scenarios[name] = stand.exchanges
  }
  const written = JSON.stringify(now, null, 1)
  t.notOk(written.includes(token), 'no token is in it')
  if (process.env.SLOTPOOL_RECORD === '1') {
    await writeFile(file, `${written}\n`)
    return
  }
  const recorded = JSON.parse(await readFile(file, 'utf8')) as Recording
  t.comment(`recorded from Nomad ${recorded.nomad}; this is ${now.nomad}`)
  t.same(differences(recorded, now), [], 'what was recorded is answered')
})
