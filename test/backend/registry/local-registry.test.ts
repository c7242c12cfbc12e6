import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { digestOf } from '../../../lib/backend/registry/digest.ts'
import { LocalRegistry } from '../../../lib/backend/registry/local-registry.ts'
import { putSmallImage } from '../../fixtures/small-image.ts'

/** The head of a SIF, as its format has it, and something behind. */
function sif(createdAtSeconds: number): Buffer {
  const content = Buffer.alloc(200, 'x')
  content.write('#!/usr/bin/env run-singularity\n\0', 0, 'latin1')
  content.write('SIF_MAGIC\0', 32, 'latin1')
  content.writeBigInt64LE(BigInt(createdAtSeconds), 64)
  return content
}

function registryOf(t: Test): { registry: LocalRegistry; sifs: string } {
  const home = t.testdir()
  const sifs = join(home, 'slotpool', 'sif')
  mkdirSync(sifs, { recursive: true })
  return { registry: new LocalRegistry({ XDG_STATE_HOME: home }), sifs }
}

t.test('SIF files are images by their paths, beside those of the layout', async (t) => {
  const { registry, sifs } = registryOf(t)
  const content = sif(1_767_323_045)
  const path = join(sifs, 'a.sif')
  writeFileSync(path, content)
  writeFileSync(join(sifs, 'not-listed'), 'x')
  await putSmallImage(registry.buildTarget(), 'mine:1')
  t.same(await registry.list(), ['docker.io/library/mine:1', path])
  const descriptor = { digest: digestOf(content), mediaType: 'application/vnd.sylabs.sif.layer.v1.sif', sizeBytes: 200 }
  t.same(await registry.resolve(path), descriptor)
  t.match(await registry.inspect(path), { ...descriptor, reference: path, createdAtMs: 1_767_323_045_000 })
  const second = join(sifs, 'b.sif')
  await registry.tag(path, second)
  await registry.tag(path, second)
  await registry.remove(path)
  t.same(await registry.resolve(second), descriptor, 'the other name stays')
  t.same(readdirSync(sifs).sort(), ['b.sif', 'not-listed'])
})

t.test('what cannot be done with them is said', async (t) => {
  const { registry, sifs } = registryOf(t)
  const path = join(sifs, 'a.sif')
  await t.rejects(registry.resolve(path), { code: 'REF_NOT_FOUND' })
  await t.rejects(registry.remove(path), { code: 'REF_NOT_FOUND' })
  writeFileSync(path, 'no SIF')
  await t.rejects(registry.resolve(path), { code: 'IMAGE_STORE_FAILED', message: /got something that is no SIF/ })
  await t.rejects(registry.resolve(sifs), { code: 'USAGE' }, 'a folder is no reference')
  writeFileSync(path, sif(0))
  t.match(await registry.inspect(path), { createdAtMs: null })
  await t.rejects(registry.tag(path, 'mine:1'), { code: 'USAGE', message: /expected the path of a \.sif file/ })
  const descriptor = await registry.resolve(path)
  const refused = { code: 'NOT_IMPLEMENTED', retryable: false }
  await t.rejects(registry.pull(path), refused)
  await t.rejects(registry.push(path, 'host.example/a:1'), refused)
  await t.rejects(registry.fetch(descriptor), refused)
})
