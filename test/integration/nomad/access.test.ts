import { inspect } from 'node:util'
import t from 'tap'
import { NomadBackend } from '../../../lib/backend/nomad/nomad-backend.ts'
import { nomadAnswers } from '../../../lib/backend/nomad/reachable.ts'
import { loadConfig, type NomadConnection } from '../../../lib/config.ts'
import { SlotpoolError } from '../../../lib/errors.ts'
import { agentIsHealthy, agentVersion } from '../../../lib/nomad/agent.ts'
import { NomadClient } from '../../../lib/nomad/client.ts'
import { createVariable, deleteVariable, readVariable } from '../../../lib/nomad/variables.ts'
import { deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

const backendOf = (nomad: NomadConnection) => new NomadBackend(loadConfig({ env: 'nomad', pool: 'access', nomad }, {}))

t.test('no agent', async (t) => {
  const address = await deadAddress()
  const backend = backendOf({ address })
  t.teardown(() => backend.close())
  const calls: (() => Promise<unknown>)[] = [() => backend.grow(1), () => backend.list(), () => backend.token(), () => backend.shape()]
  for (const call of calls) {
    await t.rejects(call(), { code: 'NOMAD_UNAVAILABLE', retryable: true, details: { address } })
  }
  t.equal(await nomadAnswers({ address }), false)
})

t.test('an agent with ACLs', { skip }, async (t) => {
  const { connection, address, client } = await nomadAgent(t, { acl: true })

  await t.test('without a token everything is NOMAD_FORBIDDEN, in Nomad’s words', async (t) => {
    const backend = backendOf({ address })
    t.teardown(() => backend.close())
    const calls: (() => Promise<unknown>)[] = [
      () => backend.grow(1),
      () => backend.list(),
      () => backend.token(),
      () => backend.shape(),
      () => backend.destroy(),
    ]
    for (const call of calls) {
      await t.rejects(call(), { code: 'NOMAD_FORBIDDEN', retryable: false, message: /Permission denied/ })
    }
  })

  await t.test('a wrong token is NOMAD_FORBIDDEN and does not show', async (t) => {
    const token = '01234567-89ab-cdef-0123-456789abcdef'
    const backend = backendOf({ address, token })
    t.teardown(() => backend.close())
    const error: unknown = await backend.grow(1).catch((thrown: unknown) => thrown)
    t.type(error, SlotpoolError)
    t.match(error, { code: 'NOMAD_FORBIDDEN', message: /Permission denied|token not found/ })
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), token)
  })

  await t.test('with its token the pool’s own is made once and removed', async (t) => {
    const [one, two] = [backendOf(connection), backendOf(connection)]
    t.teardown(() => Promise.all([one.close(), two.close()]))
    const tokens = new Set(await Promise.all([one.token(), two.token(), one.token(), two.token()]))
    t.equal(tokens.size, 1)
    t.ok([...tokens].every((token) => /^[A-Za-z0-9_-]{43}$/.test(token)))
    t.same((await readVariable(client, 'nomad/jobs/slotpool-access'))?.Items, { token: [...tokens][0] })
    await one.destroy()
    t.equal(await readVariable(client, 'nomad/jobs/slotpool-access'), null)
  })

  await t.test('a variable is created once, deleted in one version, and its conflict does not show it', async (t) => {
    const path = 'nomad/jobs/other'
    const made = await createVariable(client, path, { token: 'very-secret' })
    const error: unknown = await createVariable(client, path, { token: 'x' }).catch((thrown: unknown) => thrown)
    t.match(error, { code: 'NOMAD_CONFLICT' })
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), 'very-secret')
    await t.rejects(deleteVariable(client, path, made.ModifyIndex + 1), { code: 'NOMAD_CONFLICT' })
    await deleteVariable(client, path, made.ModifyIndex)
    t.equal(await readVariable(client, path), null)
    await deleteVariable(client, path)
  })

  await t.test('it answers to whoever asks whether it is there', async (t) => {
    t.equal(await nomadAnswers({ address }), true)
    t.match(await agentIsHealthy(client), { server: { ok: true }, client: { ok: true } })
    t.match(await agentVersion(client), /^\d+\.\d+\.\d+/)
    const stranger = new NomadClient({ address })
    t.teardown(() => stranger.close())
    await t.rejects(agentVersion(stranger), { code: 'NOMAD_FORBIDDEN' })
  })
})
