import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import Docker from 'dockerode'
import t, { type Test } from 'tap'
import { pack } from 'tar-stream'
import { buildSif } from '../../../lib/backend/apptainer/build-sif.ts'
import { packageRoot } from '../../../lib/package-root.ts'
import { cli } from '../../fixtures/cli.ts'
import { apptainerSkip, dockerSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

const skip = (await dockerSkip()) || (await apptainerSkip())

/** An image of the engine with one file; gone when the test is over. */
async function tinyImage(t: Test): Promise<string> {
  const docker = new Docker()
  const tag = `slotpool/test:${testName()}`
  const tar = pack()
  tar.entry({ name: 'one' }, 'of the image')
  tar.finalize()
  const imported = await docker.importImage(Readable.from(tar), { repo: tag.split(':')[0], tag: tag.split(':')[1] } as object)
  await once(imported.resume(), 'end')
  t.teardown(() => docker.getImage(tag).remove())
  return tag
}

t.test('a SIF from an image of the Docker engine', { skip, timeout: 120_000 }, async (t) => {
  const from = await tinyImage(t)
  const { run } = await cli(t)
  const folder = t.testdir({ 'image.sif': 'an older one' })
  const path = join(folder, 'image.sif')

  await t.test('takes the place of an older one, and leaves nothing else', async (t) => {
    const built = await run(['image', 'build', '--driver', 'singularity', '--from', from, '--tag', path])
    t.match(built, { code: 0, stdout: `${path}\n` })
    t.match(built.stderr, /^docker save .*\n(.*\n)*slotpool: built .*\n$/)
    t.match((await promisify(execFile)('apptainer', ['sif', 'list', path])).stdout, /Squashfs/)
    t.same(await readdir(folder), ['image.sif'])
  })

  await t.test('who gives up keeps the older one, and nothing is left of the new one', async (t) => {
    await writeFile(path, 'an older one')
    const abort = new AbortController()
    const onProgress = (line: string) => line.startsWith('INFO') && abort.abort()
    await t.rejects(buildSif({ path, from, onProgress, signal: abort.signal }), { code: 'CANCELLED' })
    t.same(await readdir(folder), ['image.sif'])
    t.equal(await readFile(path, 'utf8'), 'an older one')
  })

  await t.test('what it cannot be made from or put at', async (t) => {
    await t.rejects(buildSif({ path, from: 'slotpool/no-such-image:1' }), { code: 'IMAGE_NOT_FOUND', message: /no-such-image/ })
    await t.rejects(buildSif({ path: 'image.sif', from }), { code: 'CONFIG_INVALID', details: { got: 'image.sif' } })
    await t.rejects(buildSif({ path: join(path, 'image.sif'), from }), {
      code: 'IMAGE_BUILD_FAILED',
      message: /its folder cannot be written/,
    })
    await t.rejects(buildSif({ path, from, env: { PATH: '/nowhere' } }), {
      code: 'IMAGE_BUILD_FAILED',
      message: /neither apptainer nor singularity/,
    })
    t.match(await run(['image', 'build', '--from', from]), { code: 2, stderr: /--from.*--driver singularity/ })
    t.same(await readdir(folder), ['image.sif'])
  })

  await t.test('without an engine by a definition file, whose failure is said', async (t) => {
    const env = { ...process.env, DOCKER_HOST: `unix://${join(folder, 'none.sock')}` }
    const lines: string[] = []
    const building = buildSif({ path, baseImage: join(folder, 'no-base.sif'), env, onProgress: (line) => lines.push(line) })
    await t.rejects(building, { code: 'IMAGE_BUILD_FAILED', message: /build failed: it ended with / })
    t.match(lines[0], /Docker does not answer.*; building without it/)
    await t.rejects(buildSif({ path, from, env }), { code: 'DOCKER_UNAVAILABLE' })
    t.same(await readdir(folder), ['image.sif'])
  })
})

t.test('the definition file installs what the Dockerfile does', async (t) => {
  const packages = async (name: string) => {
    const text = await readFile(join(packageRoot(), 'sandbox-image', name), 'utf8')
    const lists = [...text.matchAll(/--no-install-recommends((?: +[\w.-]+| *\\\n| *#.*\n)+)/g)]
    return lists.map(([, list = '']) =>
      list
        .replace(/#.*$/gm, '')
        .match(/[\w.-]+/g)
        ?.sort(),
    )
  }
  const [inDefinition, inDockerfile] = await Promise.all(['sandbox.def', 'Dockerfile'].map(packages))
  // What images of others are served with is no part of a SIF.
  const withoutTools = inDockerfile?.filter((list) => !list?.includes('patchelf'))
  t.equal(withoutTools?.length, 2)
  t.ok(withoutTools?.[1]?.includes('slirp4netns'))
  t.same(inDefinition, withoutTools)
})
