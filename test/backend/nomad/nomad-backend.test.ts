import type { ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { NomadBackend } from '../../../lib/backend/nomad/nomad-backend.ts'
import { nomadAnswers } from '../../../lib/backend/nomad/reachable.ts'
import { VariableToken } from '../../../lib/backend/nomad/variable-token.ts'
import { loadConfig } from '../../../lib/config.ts'
import { NomadClient } from '../../../lib/nomad/client.ts'
import { answering } from '../../fixtures/fake-nomad.ts'
import { watched } from '../../fixtures/watched.ts'

t.test('an image that is none for driver singularity', async (t) => {
  for (const image of ['slotpool/sandbox:0.1', 'x.sif', './x.sif', '/x', '/.sif', 'docker://', 'docker:// x', 'library://a/b']) {
    t.throws(() => new NomadBackend(loadConfig({ env: 'nomad', image, nomad: { driver: 'singularity' } }, {})), {
      code: 'CONFIG_INVALID',
      message: /^TERMINAL_NOMAD_IMAGE: got ".*", expected the absolute path of a \.sif file, or docker:\/\/IMAGE, for driver singularity$/,
      details: { variable: 'TERMINAL_NOMAD_IMAGE', got: image },
    })
  }
  for (const image of ['/images/a b.sif', 'docker://registry.example:5000/a/b@sha256:00', undefined]) {
    const backend = new NomadBackend(loadConfig({ env: 'nomad', ...(image && { image }), nomad: { driver: 'singularity' } }, {}))
    t.equal(backend.driver, 'singularity')
    await backend.close()
  }
})

t.test('a sick or busy agent is there, something else is not', async (t) => {
  for (const [status, body, there] of [
    [200, '{"server":{"ok":true,"message":"ok"}}', true],
    [500, '{"server":{"ok":false,"message":"No cluster leader"}}', true],
    [429, 'slow down', true],
    [404, 'page not found', false],
    [301, '', false],
    [200, '<html>', false],
  ] as const) {
    const address = await answering(t, (_request, response) => response.writeHead(status).end(body))
    t.equal(await nomadAnswers({ address }), there, `${status} ${body}`)
  }
})

t.test('one that accepts and says nothing is not there', async (t) => {
  const address = await answering(t, () => undefined)
  t.equal(await nomadAnswers({ address }), false)
})

t.test('an abort ends the question', async (t) => {
  const abort = new AbortController()
  const address = await answering(t, () => abort.abort())
  await t.rejects(nomadAnswers({ address }, abort.signal), { code: 'CANCELLED' })
})

t.test('one stream serves all who watch through one backend, for as long as anybody does', async (t) => {
  const streams = new Set<ServerResponse>()
  let asked = 0
  const address = await answering(t, (request, response) => {
    if (!request.url?.startsWith('/v1/event/stream')) return response.setHeader('X-Nomad-Index', '7').end('[]')
    asked++
    streams.add(response)
    response.on('close', () => streams.delete(response))
    response.write('{}\n')
  })
  const backend = new NomadBackend(loadConfig({ env: 'nomad', nomad: { address } }, {}))
  t.teardown(() => backend.close())
  const watchers = [watched(t, backend), watched(t, backend), watched(t, backend)]
  for (const one of watchers) await one.until(() => one.calls > 0 && streams.size > 0)
  const before = watchers.map((one) => one.calls)
  for (const stream of streams) stream.write('{"Index":8,"Events":[]}\n')
  await Promise.all(watchers.map((one, i) => one.until(() => one.calls > (before[i] ?? 0))))
  t.equal(asked, 1)
  await Promise.all(watchers.slice(1).map((one) => one.end()))
  t.equal(streams.size, 1)
  await watchers[0]?.end()
  while (streams.size > 0) await new Promise((resolve) => setImmediate(resolve))
  const again = watched(t, backend)
  await again.until(() => again.calls > 0 && streams.size > 0)
  t.equal(asked, 2, 'who comes later begins anew')
  await backend.close()
  await again.end()
  t.same(
    await Promise.all([backend.watch(() => t.fail('told'), new AbortController().signal)]),
    [undefined],
    'a closed one watches nothing',
  )
})

t.test('what will not pass is told to all who watch', async (t) => {
  const address = await answering(t, (_request, response) => response.writeHead(403).end('Permission denied'))
  const backend = new NomadBackend(loadConfig({ env: 'nomad', nomad: { address } }, {}))
  t.teardown(() => backend.close())
  const { signal } = new AbortController()
  const forbidden = { code: 'NOMAD_FORBIDDEN' }
  await Promise.all([
    t.rejects(
      backend.watch(() => {}, signal),
      forbidden,
    ),
    t.rejects(
      backend.watch(() => {}, signal),
      forbidden,
    ),
  ])
  await t.rejects(
    backend.watch(() => {}, signal),
    forbidden,
    'and to who tries again',
  )
})

t.test('a job that Nomad refuses leaves no token', async (t) => {
  const asked: string[] = []
  const address = await answering(t, (request, response) => {
    const words = `${request.method} ${request.url}`
    asked.push(words)
    if (/^GET .*allocations/.test(words)) response.end('[]')
    else if (words.startsWith('PUT /v1/var/')) response.end('{"ModifyIndex":5,"Items":{"token":"x"}}')
    else if (words.startsWith('PUT /v1/jobs')) response.writeHead(400).end('no such namespace')
    else if (words.startsWith('DELETE')) response.end()
    else response.writeHead(404).end()
  })
  const backend = new NomadBackend(loadConfig({ env: 'nomad', pool: 'p', nomad: { address } }, {}))
  t.teardown(() => backend.close())
  await t.rejects(backend.grow(1), { code: 'NOMAD_REQUEST_FAILED', message: /no such namespace/ })
  t.match(
    asked.slice(-2),
    ['DELETE /v1/var/nomad/jobs/slotpool-p?cas=5', /^GET .*slotpool-p/],
    'and that nobody has a job by then is looked at once more',
  )
})

t.test('a token that is needed again when it has been removed is put back', async (t) => {
  const variable = { ModifyIndex: 7, Items: { token: 'T'.repeat(43) } }
  let stored: typeof variable | null = variable
  const address = await answering(t, async (request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.method === 'GET') return response.writeHead(stored ? 200 : 404).end(JSON.stringify(stored ?? 'variable not found'))
    if (request.method === 'DELETE') {
      stored = null
      return response.end('{}')
    }
    stored = { ...variable, ...JSON.parse(await text(request)) }
    return response.end(JSON.stringify(stored))
  })
  const client = new NomadClient({ address })
  t.teardown(() => client.close())
  await new VariableToken(client, 'p').remove(async () => true)
  t.same(stored, variable)
  await new VariableToken(client, 'p').remove(async () => false)
  t.equal(stored, null)
})
