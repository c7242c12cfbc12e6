import t from 'tap'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { taskImageContract } from '../../backend/task-image-contract.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { shellImage } from '../../fixtures/task-image.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.test('slots of any image on Nomad', { skip, timeout: 300_000 }, async (t) => {
  const toolsImage = await builtImage(t)
  const image = await shellImage(t, toolsImage)
  const agent = await nomadAgent(t)

  await t.test('of one with a shell and nothing else', async (t) => {
    const options = { image, toolsImage, slots: 2 }
    const { jobId, backend, left } = nomadPool(t, agent, options)
    const pool = await SlotPool.open({ ...options, backend: backend(), pool: jobId.slice('slotpool-'.length), max: 1 })
    t.teardown(() => pool.close())
    await taskImageContract(t, pool)
    await pool.down()
    t.strictSame(await left(), [])
  })

  await t.test('why the tools could not be had, with the image that was to bring them', async (t) => {
    const missing = `${new URL(await deadAddress()).host}/no/such:1`
    const { backend, left } = nomadPool(t, agent, { image, toolsImage: missing })
    await t.rejects(backend().grow(1), { code: 'IMAGE_PULL_FAILED', details: { image: missing } })
    t.strictSame(await left(), [])
  })
})
