import { join } from 'node:path'
import Docker from 'dockerode'
import t, { type Test } from 'tap'
import { DockerBackend } from '../../../lib/backend/docker/docker-backend.ts'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { loadConfig } from '../../../lib/config.ts'
import { imageRegistry } from '../../fixtures/image-registry.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { nomadPool } from '../../fixtures/nomad-pool.ts'
import { dockerSkip, nomadSkip, registrySkip } from '../../fixtures/require-service.ts'
import { putSmallImage } from '../../fixtures/small-image.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = (await dockerSkip()) || (await registrySkip())

/** An image in a registry, which no engine has; it serves no slots, so that a pool of it gets as far as its start. */
async function remoteImage(t: Test): Promise<string> {
  const { host } = await imageRegistry(t)
  const layout = new LayoutRegistry(join(t.testdir(), 'images'))
  const remote = `${host}/small:${testName()}`
  await putSmallImage(layout.buildTarget(), remote)
  await layout.push(remote, remote)
  t.teardown(() =>
    new Docker()
      .getImage(remote)
      .remove()
      .catch(() => {}),
  )
  return remote
}

t.test('a Docker engine pulls what a pool is to be made of and it does not have', { skip }, async (t) => {
  const image = await remoteImage(t)
  const env = { ...process.env, XDG_STATE_HOME: join(t.testdirName, 'state') }
  const notices: string[] = []
  const grow = async (image: string) => {
    const config = loadConfig({ env: 'docker', pool: testName(), slots: 1, image }, {})
    const backend = new DockerBackend(config, env, (line) => notices.push(line))
    t.teardown(async () => {
      await backend.destroy()
      await backend.close()
    })
    await backend.grow(2)
  }
  await t.rejects(grow(image), { code: 'CONTAINER_FAILED' })
  // On a slow machine it is said in between how far it is.
  const said = notices.splice(0).filter((line) => !/ parts/.test(line))
  t.same(said, [`slotpool: pulling image ${image}`, `slotpool: pulled image ${image}`], 'once for all containers')
  t.match(await new Docker().getImage(image).inspect(), { RepoTags: [image] })
  await t.rejects(grow(image), { code: 'CONTAINER_FAILED' })
  t.same(notices, [], 'what it has is not pulled')
  await t.rejects(grow(`${image}-not`), { code: 'IMAGE_NOT_FOUND', message: /found none to pull: .* registry 127/ })
  await t.rejects(grow('127.0.0.1:1/a:1'), { code: 'IMAGE_PULL_FAILED', retryable: true })
  notices.splice(0)
  await t.rejects(grow('slotpool/test:no-such-image'), {
    code: 'IMAGE_NOT_FOUND',
    message: /slotpool image build --tag slotpool\/test:no-such-image$/,
  })
  t.same(notices, [], 'a name without a registry is looked for nowhere')
})

t.test('of what a Nomad node pulls is told while a pool grows', { skip: skip || (await nomadSkip()), timeout: 120_000 }, async (t) => {
  const image = await remoteImage(t)
  const agent = await nomadAgent(t)
  const notices: string[] = []
  const pool = nomadPool(t, agent, { image })
  await t.rejects(pool.backend({}, (line) => notices.push(line)).grow(1), { code: 'NOMAD_TASK_FAILED' })
  t.match(notices[0], /^slotpool: node \S+: Downloading image/)
  t.equal(new Set(notices).size, notices.length, 'each thing once')
  t.strictSame(await pool.left(), [])
})
