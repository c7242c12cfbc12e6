import t from 'tap'
import { NomadBackend } from '../../../lib/backend/nomad/nomad-backend.ts'
import { nomadAnswers } from '../../../lib/backend/nomad/reachable.ts'
import { loadConfig } from '../../../lib/config.ts'
import { answering } from '../../fixtures/fake-nomad.ts'

t.test('driver singularity is refused for now', async (t) => {
  t.throws(() => new NomadBackend(loadConfig({ nomad: { driver: 'singularity' } }, {})), {
    code: 'CONFIG_INVALID',
    message: 'TERMINAL_NOMAD_DRIVER: got "singularity", expected docker; singularity is not there yet',
    details: { variable: 'TERMINAL_NOMAD_DRIVER', got: 'singularity', expected: 'docker' },
  })
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
