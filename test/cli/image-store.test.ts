import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { LocalRegistry } from '../../lib/backend/registry/local-registry.ts'
import { cli } from '../fixtures/cli.ts'
import { cuttingFront } from '../fixtures/cutting-front.ts'
import { imageRegistry } from '../fixtures/image-registry.ts'
import { dockerSkip, registrySkip } from '../fixtures/require-service.ts'
import { putSmallImage } from '../fixtures/small-image.ts'

t.test('images of the local backend', async (t) => {
  const { run, env } = await cli(t)
  const registry = new LocalRegistry(env)
  t.match(await run(['image', 'list']), { code: 0, stdout: '', stderr: `slotpool: there are no images in ${registry.place}\n` })
  t.match(await run(['image', 'list', '--json']), { code: 0, stdout: '[]\n', stderr: '' })
  t.notOk(existsSync(registry.place), 'to look makes nothing')
  const { manifest } = await putSmallImage(registry.buildTarget(), 'mine:1')
  t.match(await run(['image', 'tag', 'mine:1', 'host.example/other:2']), { code: 0, stdout: '', stderr: '' })
  t.match(await run(['image', 'list']), { code: 0, stdout: 'docker.io/library/mine:1\nhost.example/other:2\n', stderr: '' })
  const digest = { digest: manifest.digest, media_type: manifest.mediaType, size_bytes: manifest.sizeBytes }
  t.same(JSON.parse((await run(['image', 'list', '--json'])).stdout)[0], { reference: 'docker.io/library/mine:1', ...digest })
  t.match(JSON.parse((await run(['image', 'inspect', 'mine:1'])).stdout), {
    ...{ reference: 'mine:1', digest: manifest.digest, created_at: '2026-01-02T03:04:05.000Z', description: 'a small one' },
    ...{ source: 'https://example.org/small', labels: Object, annotations: Object, remote_digests: [] },
  })
  t.match(await run(['image', 'rm', 'mine:1']), { code: 0, stdout: '', stderr: '' })
  t.match(await run(['image', 'rm', 'mine:1']), {
    code: 125,
    stdout: '',
    stderr: /^slotpool: REF_NOT_FOUND: got mine:1, expected a reference that is in /,
  })
  t.match(await run(['image', 'inspect', 'Mine']), { code: 2, stdout: '', stderr: /USAGE: image reference: got "Mine"/ })
  const wrong = [['pull'], ['tag', 'a'], ['list', 'x']]
  const results = await Promise.all(wrong.map((words) => run(['image', ...words])))
  for (const [at, words] of wrong.entries()) t.match(results[at], { code: 2, stdout: '', stderr: /USAGE/ }, words.join(' '))
})

t.test('pushing and pulling', { skip: await registrySkip() }, async (t) => {
  const { run, start, env } = await cli(t)
  const { host } = await imageRegistry(t)
  const registry = new LocalRegistry(env)
  const { manifest } = await putSmallImage(registry.buildTarget(), 'mine:1', [10, 4 * 1024 * 1024])
  const remote = `${host}/mine:1`
  t.match(await run(['image', 'push', 'mine:1', remote]), {
    code: 0,
    stdout: `${manifest.digest}\n`,
    stderr: new RegExp(`slotpool: pushing ${remote}: 3 of 3 parts, 4\\.0 of 4\\.0 MiB\n$`),
  })
  t.match(await run(['image', 'pull', remote]), { code: 0, stdout: `${manifest.digest}\n`, stderr: /3 of 3 parts/ })
  const answers = await Promise.all([
    run(['image', 'push', remote]),
    run(['image', 'pull', `${host}/mine:2`]),
    run(['image', 'pull', '127.0.0.1:1/a:1']),
  ])
  t.match(answers, [
    { code: 0, stdout: `${manifest.digest}\n` },
    { code: 125, stdout: '', stderr: /^slotpool: REF_NOT_FOUND: / },
    { code: 125, stdout: '', stderr: /^slotpool: REGISTRY_REQUEST_FAILED: / },
  ])

  t.test('Ctrl-C leaves nothing half made', async (t) => {
    for (const name of ['mine:1', remote]) await registry.remove(name)
    const front = await cuttingFront(t, host)
    front.stall('down', 1024 * 1024)
    const pulling = start(['image', 'pull', `${front.host}/mine:1`])
    await front.stalled
    pulling.kill('SIGINT')
    t.match(await pulling.over, { code: 130, stdout: '' })
    t.same(readdirSync(join(registry.place, 'blobs', 'sha256')), [])
    t.notOk(existsSync(`${registry.place}.incoming`))
    t.same(await registry.list(), [])
  })
})

t.test('images of the Docker engine, which Nomad’s docker driver is built with', { skip: await dockerSkip() }, async (t) => {
  const { run } = await cli(t)
  const missing = 'slotpool/test:no-such-image'
  t.match(await run(['image', 'inspect', '--backend', 'nomad', missing]), { code: 125, stderr: /REF_NOT_FOUND.* in the Docker engine at/ })
  t.match(await run(['image', 'list', '--backend', 'docker']), { code: 0, stderr: '' })
  const sif = join(t.testdir(), 'a.sif')
  mkdirSync(t.testdirName, { recursive: true })
  writeFileSync(sif, '')
  const env = { TERMINAL_ENV: 'nomad', TERMINAL_NOMAD_DRIVER: 'singularity' }
  t.match(await run(['image', 'inspect', sif], env), { code: 125, stderr: /IMAGE_STORE_FAILED: .*is no SIF/ })
})
