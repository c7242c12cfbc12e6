import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { here as thisPlace } from '../../../lib/backend/process-place.ts'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { mediaTypes } from '../../../lib/backend/registry/oci-documents.ts'
import type { Descriptor, TransferProgress } from '../../../lib/backend/registry/registry.ts'
import { stagingNameOf } from '../../../lib/backend/registry/staging-name.ts'
import { cuttingFront } from '../../fixtures/cutting-front.ts'
import { imageRegistry, storedBlob } from '../../fixtures/image-registry.ts'
import { registrySkip } from '../../fixtures/require-service.ts'
import { described, json, one, putSmallImage, wire } from '../../fixtures/small-image.ts'

const mebibyte = 1024 * 1024
/** Larger than any id of a process. */
const nobody = 4_194_305

function layoutIn(root: string, name: string): { registry: LayoutRegistry; left: () => string[] } {
  const folder = join(root, name)
  const blobs = join(folder, 'blobs', 'sha256')
  const left = (): string[] => [...(existsSync(blobs) ? readdirSync(blobs) : []), ...(existsSync(`${folder}.incoming`) ? ['incoming'] : [])]
  return { registry: new LayoutRegistry(folder), left }
}

t.test('between layouts and a real registry', { skip: await registrySkip() }, async (t) => {
  const root = t.testdir()
  const layout = (name: string) => layoutIn(root, name)
  const { host, folder } = await imageRegistry(t)
  const { registry: here } = layout('here')
  const image = await putSmallImage(here.buildTarget(), 'mine/small:1', [10, 3 * mebibyte, 20])
  const remote = `${host}/mine/small:1`

  t.test('what is pushed from one and pulled into another is the same to the last byte', async (t) => {
    const seen: TransferProgress[] = []
    t.same(await here.push('mine/small:1', remote, { onProgress: (progress) => seen.push(progress) }), image.manifest)
    t.same(
      seen
        .filter((progress) => progress.done)
        .map(({ item }) => item)
        .sort(),
      image.blobs.map(({ descriptor }) => descriptor.digest).sort(),
    )
    const { registry: there, left } = layout('there')
    t.same(await there.pull(remote), image.manifest)
    t.same(await there.list(), [remote])
    t.same(left().sort(), [image.manifest, ...image.blobs.map((blob) => blob.descriptor)].map(({ digest }) => digest.slice(7)).sort())
    for (const { descriptor, content } of image.blobs) {
      const chunks: Buffer[] = []
      for await (const chunk of await there.fetch(descriptor)) chunks.push(chunk as Buffer)
      t.ok(Buffer.concat(chunks).equals(content))
    }
    const pinned = `${host}/mine/small@${image.manifest.digest}`
    t.same(await there.pull(pinned), image.manifest)
    t.same(await there.list(), [remote, pinned])
    const damaged = join(there.place, 'blobs', 'sha256', image.blobs[1]?.descriptor.digest.slice(7) ?? '')
    const size = readFileSync(damaged).length
    writeFileSync(damaged, Buffer.alloc(size, 'x'))
    t.same(await there.pull(remote), image.manifest)
    t.ok(readFileSync(damaged).equals(image.blobs[1]?.content ?? Buffer.alloc(0)), 'and again, which mends what was damaged')
  })

  t.test('what it has not is REF_NOT_FOUND', async (t) => {
    const { registry: there, left } = layout('none')
    for (const name of [`${host}/mine/small:2`, `${host}/nobody/none:1`, `${host}/mine/small@sha256:${'0'.repeat(64)}`]) {
      await t.rejects(there.pull(name), { code: 'REF_NOT_FOUND', message: new RegExp(`registry ${host}`) }, name)
    }
    t.same(left(), [])
    await t.rejects(there.pull('127.0.0.1:1/a:1'), { code: 'REGISTRY_REQUEST_FAILED', retryable: true, message: /gives no answer/ })
  })

  t.test('a transfer goes on where its connection was cut', async (t) => {
    const front = await cuttingFront(t, host)
    const big = await putSmallImage(here.buildTarget(), 'mine/big:1', [4 * mebibyte])
    const through = `${front.host}/mine/big:1`
    front.cut('up', mebibyte, 3)
    t.same(await here.push('mine/big:1', through), big.manifest)
    t.equal(front.cuts, 3)
    const { registry: there } = layout('cut')
    front.cut('down', mebibyte, 3)
    const steps: number[] = []
    const onProgress = ({ item, doneBytes }: TransferProgress) => {
      if (item === big.blobs[1]?.descriptor.digest) steps.push(doneBytes)
    }
    t.same(await there.pull(through, { onProgress }), big.manifest)
    t.equal(front.cuts, 3)
    t.same(
      steps,
      [...steps].sort((a, b) => a - b),
      'what had come is not asked for again',
    )
    front.cut('down', 0, 1_000)
    await t.rejects(layout('never').registry.pull(through), { code: 'REGISTRY_REQUEST_FAILED', retryable: true })
  })

  t.test('other content than a digest names is refused, and nothing of it kept', async (t) => {
    const bad = await putSmallImage(here.buildTarget(), 'mine/bad:1', [100, 200])
    await here.push('mine/bad:1', `${host}/mine/bad:1`)
    const [config, layer] = bad.blobs.map((blob) => blob.descriptor) as [Descriptor, Descriptor]
    const file = storedBlob(folder, layer.digest)
    appendFileSync(file, 'more')
    const { registry: there, left } = layout('bad')
    await t.rejects(there.pull(`${host}/mine/bad:1`), { code: 'DIGEST_MISMATCH', retryable: false })
    writeFileSync(file, Buffer.alloc(layer.sizeBytes, 'x'))
    await t.rejects(there.pull(`${host}/mine/bad:1`), { code: 'DIGEST_MISMATCH', message: new RegExp(`expected ${layer.digest}`) })
    writeFileSync(storedBlob(folder, bad.manifest.digest), json({ schemaVersion: 2, config: wire(config), layers: [] }))
    await t.rejects(there.pull(`${host}/mine/bad@${bad.manifest.digest}`), { code: /DIGEST_MISMATCH|REGISTRY_REQUEST_FAILED/ })
    t.same([await there.list(), left()], [[], []])
  })

  t.test('of an image for several platforms the one that runs here is pulled', async (t) => {
    const arch = process.arch === 'x64' ? 'amd64' : process.arch
    const target = here.buildTarget()
    const other = await putSmallImage(target, 'mine/other:1', [5])
    const indexOf = (...parts: [Descriptor, string][]) =>
      described(
        mediaTypes.ociIndex,
        json({
          schemaVersion: 2,
          mediaType: mediaTypes.ociIndex,
          manifests: parts.map(([part, architecture]) => ({ ...wire(part), platform: { os: 'linux', architecture } })),
        }),
      )
    const both = indexOf([other.manifest, 's390x'], [image.manifest, arch])
    const neither = indexOf([other.manifest, 's390x'])
    const nested = described(
      mediaTypes.ociIndex,
      json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [wire(neither.descriptor), wire(both.descriptor)] }),
    )
    for (const [index, name] of [
      [both, 'mine/index:1'],
      [neither, 'mine/index:2'],
      [nested, 'mine/index:3'],
    ] as const) {
      await target.put(index.descriptor, one(index.content))
      await target.tag(index.descriptor, name)
      t.same(await here.push(name, `${host}/${name}`), index.descriptor, 'an index is pushed with all that it names')
    }
    const { registry: there } = layout('platform')
    t.same(await there.pull(`${host}/mine/index:1`), image.manifest)
    t.same(await there.pull(`${host}/mine/index@${both.descriptor.digest}`), image.manifest)
    t.same(await there.pull(`${host}/mine/index:3`), image.manifest, 'an index within an index')
    await t.rejects(there.pull(`${host}/mine/index:2`), { code: 'REF_NOT_FOUND', message: /which has linux\/s390x$/ })
  })

  t.test('who gives up leaves nothing, and neither does who died', async (t) => {
    const { registry: there, left } = layout('given-up')
    const controller = new AbortController()
    const onProgress = ({ doneBytes }: TransferProgress) => {
      if (doneBytes > mebibyte) controller.abort()
    }
    await t.rejects(there.pull(remote, { signal: controller.signal, onProgress }), { code: 'CANCELLED' })
    t.same([await there.list(), left()], [[], []])
    mkdirSync(join(`${there.place}.incoming`, stagingNameOf({ ...thisPlace(), pid: nobody, startTicks: 1 })), { recursive: true })
    await there.pull(remote)
    t.notOk(left().includes('incoming'))
  })

  t.test('what several do at once leaves what names stand for whole, and nothing else', async (t) => {
    const { registry: there, left } = layout('at-once')
    const settle = (doing: Promise<unknown>[]) => Promise.allSettled(doing)
    for (let round = 0; round < 5; round++) {
      const results = await settle([
        there.pull(remote),
        there.tag(remote, 'mine:a'),
        there.pull(remote),
        there.remove(remote),
        there.pull(`${host}/mine/small@${image.manifest.digest}`),
        there.remove('mine:a'),
      ])
      const failed = results.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
      t.ok(
        failed.every((error) => error.code === 'REF_NOT_FOUND'),
        'only what was not there then',
      )
      for (const name of await there.list()) {
        for (const { descriptor } of [{ descriptor: await there.resolve(name) }, ...image.blobs]) {
          for await (const _ of await there.fetch(descriptor)) {
            // Fails at its end where it is not whole.
          }
        }
      }
    }
    await settle((await there.list()).map((name) => there.remove(name)))
    t.same([await there.list(), left()], [[], []])
  })

  t.test('without TLS only this machine is asked, unless it is told otherwise', async (t) => {
    const { registry: there } = layout('plain')
    const name = `registry.invalid:5000/a:1`
    await t.rejects(there.pull(name), { code: 'REGISTRY_REQUEST_FAILED', message: /gives no answer \(.*registry\.invalid/ })
    await t.rejects(there.pull(name, { plainHttp: true }), { code: 'REGISTRY_REQUEST_FAILED', message: /gives no answer/ })
  })
})
