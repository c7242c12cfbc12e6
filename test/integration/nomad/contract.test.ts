import t from 'tap'
import { backendContract } from '../../backend/contract.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { killAllocation } from '../../fixtures/nomad-leftovers.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

t.setTimeout(600_000)

t.test('a Nomad agent', { skip: (await nomadSkip()) || (await dockerSkip()), timeout: 600_000 }, async (t) => {
  const image = await builtImage(t)
  const agent = await nomadAgent(t)
  await backendContract(t, {
    name: 'nomad',
    mounts: true,
    ...(process.env.SLOTPOOL_CONTRACT === undefined ? { slotsAs: 'a Docker engine' } : {}),
    makeOptions: async (t, size) => {
      const { jobId, left } = nomadPool(t, agent, { image, ...size })
      const pool = jobId.slice('slotpool-'.length)
      const options = { ...size, env: 'nomad' as const, pool, image, nomad: agent.connection }
      return { options, env: process.env, kill: ({ id }) => killAllocation(id), left }
    },
  })
})
