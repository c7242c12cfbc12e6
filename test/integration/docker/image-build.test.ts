import { join } from 'node:path'
import Docker from 'dockerode'
import t from 'tap'
import type { BuildProgress } from '../../../lib/backend/docker/build-events.ts'
import { buildImage } from '../../../lib/backend/docker/image-build.ts'
import { serverEntrypoint } from '../../../lib/image-layout.ts'
import { baseImage } from '../../fixtures/base-image.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = await dockerSkip()

t.test('building the image', { skip, timeout: 300_000 }, async (t) => {
  const docker = new Docker()
  const base = await baseImage()
  const tag = `slotpool/test:${testName()}`

  t.test('reports each step, and runs the sandbox server as root with Node', async (t) => {
    t.teardown(() => docker.getImage(tag).remove())
    const progress: BuildProgress[] = []
    const built = await buildImage({ tag, ...base, onProgress: (one) => progress.push(one) })
    const begun = progress.filter((one) => one.line === null)
    t.same(
      begun.map((one) => one.step),
      Array.from({ length: begun[0]?.steps ?? 0 }, (_, at) => at + 1),
    )
    const image = await docker.getImage(tag).inspect()
    t.equal(image.Id, built.imageId)
    t.same(image.Config.Entrypoint, serverEntrypoint)
    t.match(image.Config.Labels, { 'org.opencontainers.image.version': /^\d+\.\d+\.\d+/ })
    t.equal((await buildImage({ tag, ...base })).imageId, built.imageId, 'a second time it comes from the cache')
  })

  t.test('a step that fails is named, with what it printed', async (t) => {
    const folder = t.testdir({ Dockerfile: `ARG BASE_IMAGE\nFROM \${BASE_IMAGE}\nRUN echo before-it; exit 9\n`, bundle: '' })
    const files = { dockerfile: join(folder, 'Dockerfile'), bundle: join(folder, 'bundle') }
    await t.rejects(buildImage({ tag, baseImage: 'slotpool/base:bookworm', ...base, files }), {
      code: 'IMAGE_BUILD_FAILED',
      message: /step 3 of 3, RUN echo before-it; exit 9, failed: .*returned a non-zero code: 9\. It printed:\n(.*\n)*before-it/,
      details: { step: 3, steps: 3 },
    })
    t.same(await docker.listImages({ filters: { reference: [tag] } }), [])
  })

  t.test('a base image that cannot be had, and a tag that is none', async (t) => {
    const missing = '127.0.0.1:1/no-such-base:1'
    await t.rejects(buildImage({ tag, baseImage: missing }), {
      code: 'IMAGE_BUILD_FAILED',
      message: /step 2 of \d+, FROM .*Got 127\.0\.0\.1:1\/no-such-base:1, expected .*--base IMAGE/,
    })
    await t.rejects(buildImage({ tag: 'Not A Tag', ...base }), { code: 'IMAGE_BUILD_FAILED', message: /invalid reference format/ })
  })

  t.test('who gives up leaves no container of a step and no image', async (t) => {
    const marker = testName()
    const folder = t.testdir({ Dockerfile: `ARG BASE_IMAGE\nFROM \${BASE_IMAGE}\nRUN echo ${marker}; sleep 300\n`, bundle: '' })
    const files = { dockerfile: join(folder, 'Dockerfile'), bundle: join(folder, 'bundle') }
    const controller = new AbortController()
    const onProgress = ({ line }: BuildProgress) => {
      if (line?.includes(marker)) controller.abort()
    }
    const building = buildImage({ tag, baseImage: 'slotpool/base:bookworm', ...base, files, onProgress, signal: controller.signal })
    const ended = docker.getEvents({ since: 0, filters: { event: ['destroy'] } })
    await t.rejects(building, { code: 'CANCELLED' })
    const ofStep = async () => (await docker.listContainers({ all: true })).filter((one) => one.Command.includes(marker))
    // The engine takes the step's container down after the client has gone; its event says when.
    const events = (await ended) as NodeJS.ReadableStream & { destroy(): void }
    for await (const _ of events) if ((await ofStep()).length === 0) break
    events.destroy()
    t.same(await ofStep(), [])
    t.same(await docker.listImages({ filters: { reference: [tag] } }), [])
  })

  t.test('a missing file of the package', async (t) => {
    await t.rejects(buildImage({ tag, ...base, files: { bundle: '/nonexistent/server.js' } }), {
      code: 'IMAGE_BUILD_FAILED',
      message: /^\/nonexistent\/server\.js: cannot be read .*`npm run build` makes it$/,
    })
  })
})
