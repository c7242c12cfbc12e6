import { readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { mediaTypes } from '../../../lib/backend/registry/oci-documents.ts'
import { described, json, one, putSmallImage, type SmallImage, wire } from '../../fixtures/small-image.ts'

function layout(t: Test): { registry: LayoutRegistry; folder: string; blobs: () => string[] } {
  const folder = join(t.testdir(), 'images')
  return { registry: new LayoutRegistry(folder), folder, blobs: () => readdirSync(join(folder, 'blobs', 'sha256')).sort() }
}

const names = ({ manifest, blobs }: SmallImage): string[] =>
  [manifest, ...blobs.map((blob) => blob.descriptor)].map(({ digest }) => digest.slice('sha256:'.length)).sort()

t.test('what is put there is an OCI image layout, and found by its name', async (t) => {
  const { registry, folder, blobs } = layout(t)
  t.same(await registry.list(), [], 'nothing, and no folder, before')
  t.throws(blobs)
  const image = await putSmallImage(registry.buildTarget(), 'mine/small:1')
  t.same(JSON.parse(readFileSync(join(folder, 'oci-layout'), 'utf8')), { imageLayoutVersion: '1.0.0' })
  t.match(JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')), {
    schemaVersion: 2,
    manifests: [
      {
        digest: image.manifest.digest,
        size: image.manifest.sizeBytes,
        annotations: { 'org.opencontainers.image.ref.name': 'docker.io/mine/small:1' },
      },
    ],
  })
  t.same(blobs(), names(image))
  t.same(await registry.list(), ['docker.io/mine/small:1'])
  const { digest } = image.manifest
  for (const name of ['mine/small:1', 'docker.io/mine/small:1', `mine/small@${digest}`, `mine/small:1@${digest}`]) {
    t.same(await registry.resolve(name), image.manifest, name)
  }
  t.match(await registry.inspect('mine/small:1'), {
    reference: 'mine/small:1',
    digest,
    createdAtMs: Date.parse('2026-01-02T03:04:05Z'),
    description: 'a small one',
    source: 'https://example.org/small',
    sizeBytes: image.blobs.reduce((sum, blob) => sum + blob.content.length, image.manifest.sizeBytes),
  })
})

t.test('what is not there is REF_NOT_FOUND', async (t) => {
  const { registry } = layout(t)
  await putSmallImage(registry.buildTarget(), 'mine/small:1')
  const missing = { code: 'REF_NOT_FOUND', message: /^got \S+, expected a reference that is in .*images$/ }
  await t.rejects(registry.resolve('mine/small:2'), missing)
  await t.rejects(registry.inspect('mine/small'), missing)
  await t.rejects(registry.tag('other:1', 'other:2'), missing)
  await t.rejects(registry.remove('other:1'), missing)
  await t.rejects(registry.push('other:1', '127.0.0.1:1/other:1'), missing)
  await t.rejects(registry.fetch({ digest: `sha256:${'0'.repeat(64)}`, mediaType: 'text/plain', sizeBytes: 1 }), missing)
  for (const bad of ['Mine/small', '', 'a:b:c', 'a@sha256:12', '../x', 'a/../b', 'host.name/']) {
    await t.rejects(registry.resolve(bad), { code: 'USAGE', message: /image reference: got/ }, bad)
  }
})

t.test('an image goes with its last name, and what others share with it stays', async (t) => {
  const { registry, blobs } = layout(t)
  const first = await putSmallImage(registry.buildTarget(), 'mine:1')
  await registry.tag('mine:1', 'host.example/other:x')
  t.same(await registry.list(), ['docker.io/library/mine:1', 'host.example/other:x'])
  const { digest } = first.manifest
  await t.rejects(registry.remove(`mine@${digest}`), { code: 'REF_NOT_FOUND' }, 'a name that nobody gave')
  await registry.remove('mine:1')
  t.same(blobs(), names(first))
  const second = await putSmallImage(registry.buildTarget(), 'mine:2')
  await registry.tag('mine:2', 'host.example/other:x')
  t.same(blobs(), names(second), 'a name that moves on leaves what nobody else names')
  await registry.remove('mine:2')
  await registry.remove('host.example/other:x')
  t.same(blobs(), [])
})

t.test('nothing is removed while it cannot be told what the other names lead to', async (t) => {
  const { registry, folder, blobs } = layout(t)
  const target = registry.buildTarget()
  const first = await putSmallImage(target, 'mine:1')
  const [config, ...layers] = first.blobs.map((blob) => wire(blob.descriptor))
  const second = described(mediaTypes.ociManifest, json({ schemaVersion: 2, config, layers, annotations: { second: 'yes' } }))
  await target.put(second.descriptor, one(second.content))
  await target.tag(second.descriptor, 'mine:2')
  const before = blobs()
  const indexFile = join(folder, 'index.json')
  const named = readFileSync(indexFile, 'utf8')
  const manifest = join(folder, 'blobs', 'sha256', second.descriptor.digest.slice('sha256:'.length))
  writeFileSync(manifest, 'damaged')
  await registry.remove('mine:1')
  t.same(blobs(), before, 'one is damaged')
  writeFileSync(manifest, second.content)
  const index = JSON.parse(named)
  index.manifests[1].mediaType = 'application/vnd.example.new+json'
  writeFileSync(indexFile, JSON.stringify(index))
  await registry.remove('mine:1')
  t.same(blobs(), before, 'one is of a type that nobody here knows')
  writeFileSync(indexFile, named)
  await registry.remove('mine:1')
  t.same(
    blobs(),
    before.filter((name) => name !== first.manifest.digest.slice('sha256:'.length)),
  )
})

t.test('content is checked whenever it is taken or given', async (t) => {
  const { registry, folder, blobs } = layout(t)
  const target = registry.buildTarget()
  const { descriptor, content } = described('text/plain', Buffer.from('what it is'))
  await t.rejects(target.put(descriptor, one(Buffer.from('what it isnt'))), { code: 'DIGEST_MISMATCH' })
  await t.rejects(target.put(descriptor, one(Buffer.from('what is it'))), { code: 'DIGEST_MISMATCH' })
  await t.rejects(target.put(descriptor, one(Buffer.from('what'))), { code: 'DIGEST_MISMATCH' })
  t.same(blobs(), [])
  await target.put(descriptor, one(content))
  t.equal((await buffer(await registry.fetch(descriptor))).toString(), 'what it is')
  const image = await putSmallImage(target, 'mine:1')
  const [, layer] = image.blobs
  truncateSync(join(folder, 'blobs', 'sha256', layer?.descriptor.digest.slice('sha256:'.length) ?? ''), 5)
  await t.rejects(buffer(await registry.fetch(layer?.descriptor ?? descriptor)), { code: 'DIGEST_MISMATCH' })
  const { descriptor: nobodys } = described('text/plain', Buffer.from('never put'))
  await t.rejects(target.tag(nobodys, 'mine:3'), { code: 'REF_NOT_FOUND' })
})

t.test('a digest that is none leads nowhere', async (t) => {
  const { registry, folder } = layout(t)
  const content = Buffer.from('x')
  for (const digest of [`sha256:${'../'.repeat(3)}outside`, 'sha256:', 'sha256:AB', `sha512:${'0'.repeat(128)}`, '']) {
    const descriptor = { digest, mediaType: 'text/plain', sizeBytes: 1 }
    const refused = { code: 'USAGE', message: `digest: got ${JSON.stringify(digest)}, expected sha256: and 64 hexadecimal digits` }
    await t.rejects(registry.buildTarget().put(descriptor, one(content)), refused)
    await t.rejects(registry.fetch(descriptor), refused)
    await t.rejects(registry.buildTarget().tag({ ...descriptor, mediaType: mediaTypes.ociManifest }, 'mine:1'), refused)
  }
  t.same(await registry.list(), [])
  t.notOk(readdirSync(dirname(folder)).includes('outside'))
})

t.test('a name that another tool wrote is found as it is written', async (t) => {
  const { registry, folder } = layout(t)
  const image = await putSmallImage(registry.buildTarget(), 'mine:1')
  const path = join(folder, 'index.json')
  writeFileSync(path, readFileSync(path, 'utf8').replace('docker.io/library/mine:1', 'App+1'))
  t.same(await registry.list(), ['App+1'])
  t.match(await registry.inspect('App+1'), { reference: 'App+1', digest: image.manifest.digest })
  await registry.remove('App+1')
  t.same(await registry.list(), [])
})

t.test('a folder that cannot be locked is IMAGE_STORE_FAILED', async (t) => {
  const { registry, folder } = layout(t)
  await putSmallImage(registry.buildTarget(), 'mine:1')
  // The lock is beside it, with a name too long for any.
  const long = join(dirname(folder), 'x'.repeat(252))
  renameSync(folder, long)
  await t.rejects(new LayoutRegistry(long).tag('mine:1', 'mine:2'), {
    code: 'IMAGE_STORE_FAILED',
    message: /^could not change .*ENAMETOOLONG/,
  })
})
