import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import Docker from 'dockerode'
import t, { type Test } from 'tap'
import { pack } from 'tar-stream'
import { DockerRegistry } from '../../../lib/backend/docker/docker-registry.ts'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { mediaTypes } from '../../../lib/backend/registry/oci-documents.ts'
import type { TransferProgress } from '../../../lib/backend/registry/registry.ts'
import { cuttingFront } from '../../fixtures/cutting-front.ts'
import { imageRegistry, registryUser } from '../../fixtures/image-registry.ts'
import { dockerSkip, registrySkip } from '../../fixtures/require-service.ts'
import { described, json, one, putSmallImage, wire } from '../../fixtures/small-image.ts'
import { testName } from '../../fixtures/test-name.ts'
import { withVariable } from '../../fixtures/with-variable.ts'

const docker = new Docker()

/** An image of one small file on the engine; gone when the test is over, with what the test calls it beside. */
async function engineImage(t: Test, ...otherNames: string[]): Promise<{ name: string; id: string }> {
  const name = `slotpool/test:${testName()}`
  const [repo, tag] = name.split(':')
  await buffer((await docker.importImage(await fileTar(), { repo, tag })) as Readable)
  const names = [name, ...otherNames]
  t.teardown(() =>
    Promise.all(
      names.map((one) =>
        docker
          .getImage(one)
          .remove()
          .catch(() => {}),
      ),
    ),
  )
  return { name, id: (await docker.getImage(name).inspect()).Id }
}

/** One without any name. */
async function namelessImage(t: Test): Promise<string> {
  const said = (await buffer((await docker.importImage(await fileTar())) as Readable)).toString()
  const [id = ''] = /sha256:[0-9a-f]{64}/.exec(said) ?? []
  t.teardown(() =>
    docker
      .getImage(id)
      .remove({ force: true })
      .catch(() => {}),
  )
  return id
}

async function fileTar(): Promise<Readable> {
  const tar = pack()
  tar.entry({ name: 'file' }, testName())
  tar.finalize()
  return Readable.from([await buffer(tar)])
}

t.test('images of a Docker engine', { skip: (await dockerSkip()) || (await registrySkip()) }, async (t) => {
  const engine = new DockerRegistry()
  const { host } = await imageRegistry(t)

  t.test('are listed, looked at, named and removed', async (t) => {
    const other = `slotpool/test:${testName()}`
    const { name, id } = await engineImage(t, other)
    t.ok((await engine.list()).includes(name))
    t.match(await engine.resolve(name), { digest: id, mediaType: 'application/vnd.docker.container.image.v1+json' })
    t.match(await engine.inspect(name), { reference: name, digest: id, description: null, remoteDigests: [], createdAtMs: Number })
    await engine.tag(name, other)
    t.equal((await engine.resolve(other)).digest, id)
    t.equal((await engine.resolve(id)).digest, id)
    await engine.remove(other)
    const missing = { code: 'REF_NOT_FOUND', message: /expected a reference that is in the Docker engine at/ }
    await t.rejects(engine.resolve(other), missing)
    await t.rejects(engine.inspect(other), missing)
    await t.rejects(engine.remove(other), missing)
    await t.rejects(engine.tag(other, name), missing)
    await t.rejects(engine.push(other, name), missing)
    t.equal(engine.buildTarget(), null)
    await t.rejects(engine.fetch(await engine.resolve(name)), { code: 'NOT_IMPLEMENTED' })
    await t.rejects(engine.pull(`${host}/a:1`, { plainHttp: true }), { code: 'NOT_IMPLEMENTED' })
  })

  t.test('go to a registry and from there into a layout, the same by their digests', async (t) => {
    const { name, id } = await engineImage(t)
    const remote = `${host}/from/engine:1`
    const seen: TransferProgress[] = []
    const pushed = await engine.push(name, remote, { onProgress: (progress) => seen.push(progress) })
    t.equal(pushed.mediaType, mediaTypes.dockerManifest)
    t.ok(seen.some((progress) => progress.done))
    t.notOk((await engine.list()).includes(remote), 'the name that it took for this is gone')
    const layout = new LayoutRegistry(join(t.testdir(), 'images'))
    t.same(await layout.pull(remote), pushed)
    const { config } = JSON.parse((await buffer(await layout.fetch(pushed))).toString())
    t.equal(config.digest, id, 'its configuration is what the engine calls the image')
    await layout.push(remote, `${host}/from/layout:1`)
    t.teardown(() => engine.remove(`${host}/from/layout:1`))
    t.equal((await engine.pull(`${host}/from/layout:1`)).digest, id, 'and back')
  })

  t.test('come from a layout by way of a registry, under the name they are pulled by', async (t) => {
    const layout = new LayoutRegistry(join(t.testdir(), 'images'))
    const { manifest, blobs } = await putSmallImage(layout.buildTarget(), 'mine:1', [10, 20])
    const remote = `${host}/from/layout:2`
    await layout.push('mine:1', remote)
    const seen: TransferProgress[] = []
    t.teardown(() => engine.remove(remote))
    t.equal((await engine.pull(remote, { onProgress: (progress) => seen.push(progress) })).digest, blobs[0]?.descriptor.digest)
    t.equal(seen.filter((progress) => progress.done).length, 2)
    t.match(await engine.inspect(remote), {
      description: 'a small one',
      createdAtMs: Date.parse('2026-01-02T03:04:05Z'),
      remoteDigests: [`${host}/from/layout@${manifest.digest}`],
    })
  })

  t.test('that are for other machines are not there', async (t) => {
    const layout = new LayoutRegistry(join(t.testdir(), 'images'))
    const target = layout.buildTarget()
    const { manifest } = await putSmallImage(target, 'mine:1')
    const { descriptor, content } = described(
      mediaTypes.ociIndex,
      json({
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [{ ...wire(manifest), platform: { os: 'linux', architecture: 's390x' } }],
      }),
    )
    await target.put(descriptor, one(content))
    await target.tag(descriptor, 'index:1')
    await layout.push('index:1', `${host}/from/index:1`)
    await t.rejects(engine.pull(`${host}/from/index:1`), { code: 'REF_NOT_FOUND' })
  })

  t.test('a name that stood for something else does so again after a push', async (t) => {
    const remote = `${host}/taken:1`
    const [first, second] = [await engineImage(t, remote), await engineImage(t)]
    await engine.tag(first.name, remote)
    await engine.push(second.name, remote)
    t.equal((await engine.resolve(remote)).digest, first.id)
    t.same((await engine.inspect(second.name)).remoteDigests, [], 'and nothing of the other is kept for it')
  })

  t.test('what nothing else refers to keeps the name that it was pushed by', async (t) => {
    const [bare, used] = [await namelessImage(t), await namelessImage(t)]
    t.match(await engine.push(bare, `${host}/bare:1`), { digest: /^sha256:/ })
    t.match(await engine.resolve(`${host}/bare:1`), { digest: bare })
    const container = await docker.createContainer({ Image: used, Cmd: ['x'] })
    t.teardown(() => container.remove())
    t.match(await engine.push(used, `${host}/bare:2`), { digest: /^sha256:/ }, 'where a container uses it, too')
    const { id, name } = await engineImage(t)
    await engine.tag(name, `${host}/bare:3`)
    t.teardown(() => engine.remove(`${host}/bare:3`))
    const nameless = await namelessImage(t)
    await engine.push(nameless, `${host}/bare:3`)
    t.equal((await engine.resolve(`${host}/bare:3`)).digest, id)
    t.ok(await engine.resolve(nameless), 'and its digest where the name stood for another')
  })

  t.test('a digest that the engine knew before a push it knows afterwards', async (t) => {
    const layout = new LayoutRegistry(join(t.testdir(), 'images'))
    const { manifest } = await putSmallImage(layout.buildTarget(), 'mine:1')
    await layout.push('mine:1', `${host}/pinned:1`)
    const pinned = `${host}/pinned@${manifest.digest}`
    const taken = `${host}/pinned:taken`
    const { id } = await engineImage(t, pinned, taken, `${host}/pinned:2`)
    await engine.pull(pinned)
    await engine.push(pinned, `${host}/pinned:2`)
    t.ok(await engine.resolve(pinned), 'of the repository that it was pushed to')
    await engine.tag(id, taken)
    await engine.push(pinned, taken)
    t.equal((await engine.resolve(taken)).digest, id)
    t.ok(await engine.resolve(pinned), 'and under a name that stood for another image')
  })

  t.test('who gives up a transfer leaves neither an image nor a name', async (t) => {
    const front = await cuttingFront(t, host)
    const { name } = await engineImage(t)
    const remote = `${front.host}/given/up:1`
    front.stall('down', 0)
    const controller = new AbortController()
    const { signal } = controller
    const doing = [engine.push(name, remote, { signal }), engine.pull(`${front.host}/given/up:2`, { signal })]
    const ended = Promise.allSettled(doing)
    await front.stalled
    controller.abort()
    t.match(await ended, [{ reason: { code: 'CANCELLED' } }, { reason: { code: 'CANCELLED' } }])
    t.same(
      (await engine.list()).filter((one) => one.startsWith(front.host)),
      [],
    )
  })

  t.test('what the registry says no to is a typed error', async (t) => {
    await t.rejects(engine.pull(`${host}/none:1`), { code: 'REF_NOT_FOUND', message: new RegExp(`registry ${host}`) })
    const closed = await imageRegistry(t, 'htpasswd')
    withVariable(t, 'DOCKER_CONFIG', t.testdir())
    const write = (password: string) => {
      const auth = Buffer.from(`${registryUser.username}:${password}`).toString('base64')
      writeFileSync(join(t.testdirName, 'config.json'), JSON.stringify({ auths: { [closed.host]: { auth } } }))
    }
    const { name } = await engineImage(t)
    const remote = `${closed.host}/mine:1`
    await t.rejects(engine.push(name, remote), { code: 'REGISTRY_UNAUTHORIZED', message: /docker login/ })
    write('wrong')
    await t.rejects(engine.push(name, remote), { code: 'REGISTRY_UNAUTHORIZED' })
    await t.rejects(engine.pull(remote), { code: 'REGISTRY_UNAUTHORIZED' })
    write(registryUser.password)
    t.match(await engine.push(name, remote), { digest: /^sha256:/ })
    await t.rejects(engine.pull('127.0.0.1:1/a:1'), { code: 'REGISTRY_REQUEST_FAILED', retryable: true })
  })
})
