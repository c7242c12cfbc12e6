import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Docker from 'dockerode'
import t from 'tap'
import { z } from 'zod'
import { reapLeftovers } from '../../../lib/backend/nomad/reap-leftovers.ts'
import { hasEnded } from '../../../lib/nomad/allocations.ts'
import { NomadClient } from '../../../lib/nomad/client.ts'
import { createVariable, readVariable } from '../../../lib/nomad/variables.ts'
import { packageRoot } from '../../../lib/package-root.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { makeNamespace, nomadAgent } from '../../fixtures/nomad-agent.ts'
import { containersOf } from '../../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { watched } from '../../fixtures/watched.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

// The whole file; starting agents, images and containers takes its time on a busy machine.
t.setTimeout(300_000)

const namespace = 'agents'

t.test('a token with the policy of nomad/slotpool.policy.hcl, in a namespace of its own', { skip }, async (t) => {
  const image = await builtImage(t)
  const broken = await builtImage(
    t,
    `console.error('slotpool-error: {"code":"INTERNAL","message":"as planned","retryable":false}'); process.exit(1)`,
  )
  const agent = await nomadAgent(t, { acl: true })
  const { client, connection } = agent
  await makeNamespace(agent, namespace)
  const policy = await readFile(join(packageRoot(), 'nomad', 'slotpool.policy.hcl'), 'utf8')
  const rules = policy.replace('namespace "default"', `namespace "${namespace}"`)
  await client.request({
    method: 'PUT',
    path: '/v1/acl/policy/slotpool',
    body: { Name: 'slotpool', Rules: rules },
    schema: z.unknown(),
    purpose: 'make the policy',
  })
  const { value } = await client.request({
    method: 'PUT',
    path: '/v1/acl/token',
    body: { Name: 'slotpool', Type: 'client', Policies: ['slotpool'] },
    schema: z.object({ SecretID: z.string() }),
    purpose: 'make the token',
  })
  const scoped = { ...connection, namespace }
  const pool = nomadPool(t, agent.as(t, scoped), { image, nomad: { token: value.SecretID, namespace } })

  const backend = pool.backend()
  const told = watched(t, backend)
  const [only] = await backend.grow(1)
  await told.until((seen) => seen[0]?.state === 'ready')
  t.match(only, { state: 'ready' })
  const [container = ''] = await containersOf(only?.id ?? '')
  await new Docker().getContainer(container).kill()
  await pool.until((all) => all.some(hasEnded))
  t.match(await backend.grow(1), [{ state: 'ready' }], 'a dead one is replaced')

  const [lower, higher] = await backend.grow(2)
  if (!lower || !higher) throw new Error('it has not grown')
  await backend.remove(lower)
  await told.until((seen) => seen.some((one) => one.index === 0 && one.id !== lower.id && one.state === 'ready'))
  await backend.remove(higher)
  t.equal(await pool.count(), 1)
  await told.end()

  const abandoned = 'nomad/jobs/slotpool-abandoned'
  await createVariable(agent.as(t, scoped).client, abandoned, { token: 'x' })
  const own = new NomadClient({ ...scoped, token: value.SecretID })
  t.teardown(() => own.close())
  const now = Date.now()
  t.intercept(Date, 'now', { value: () => now + 2 * 3_600_000 })
  await reapLeftovers({ client: own, jobId: pool.jobId }, new AbortController().signal)
  t.equal(await readVariable(agent.as(t, scoped).client, abandoned), null)

  await backend.destroy()
  t.strictSame(await pool.left(), [])
  await t.rejects(pool.backend({ image: broken }).grow(1), { code: 'INTERNAL', message: 'as planned' })
  t.strictSame(await pool.left(), [])
})
