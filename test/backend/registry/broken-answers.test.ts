import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { scriptedRegistry } from '../../fixtures/scripted-registry.ts'
import { withVariable } from '../../fixtures/with-variable.ts'

function layout(t: Test): LayoutRegistry {
  return new LayoutRegistry(join(t.testdir(), 'images'))
}

/** The head of an answer and less of its body than it says. */
function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-length': '100' })
  response.write('{"errors"')
}

function askForToken(request: IncomingMessage, response: ServerResponse): void {
  const realm = `http://${request.headers.host}/token`
  response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="x"` }).end()
}

t.test('an answer that is cut in its middle may be asked for again', async (t) => {
  const registry = layout(t)
  let cutToken = false
  const host = await scriptedRegistry(t, (request, response) => {
    if (cutToken && request.url?.startsWith('/v2/')) return askForToken(request, response)
    begin(response)
    response.write('more', () => response.destroy())
  })
  const cut = {
    code: 'REGISTRY_REQUEST_FAILED',
    retryable: true,
    message: new RegExp(`^registry ${host} could not give the manifest 1 of a`),
  }
  await t.rejects(registry.pull(`${host}/a:1`), cut)
  cutToken = true
  await t.rejects(registry.pull(`${host}/a:1`), cut, 'that of a token, too')
})

t.test('who gives up in the middle of an answer is told so, and no secret', async (t) => {
  const registry = layout(t)
  const host = await scriptedRegistry(t, (request, response) => {
    if (request.headers.authorization) begin(response)
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
  })
  withVariable(t, 'DOCKER_CONFIG', t.testdirName)
  const auth = Buffer.from('ann:secret').toString('base64')
  writeFileSync(join(t.testdirName, 'config.json'), JSON.stringify({ auths: { [host]: { auth } } }))
  const controller = new AbortController()
  const onHead = (message: unknown): void => {
    const { response } = message as { response: IncomingMessage }
    // By then its body is waited for.
    if (response.statusCode === 200) setImmediate(() => controller.abort())
  }
  subscribe('http.client.response.finish', onHead)
  t.teardown(() => unsubscribe('http.client.response.finish', onHead))
  const error = await registry.pull(`${host}/a:1`, { signal: controller.signal }).catch((error: unknown) => error)
  t.match(error, { code: 'CANCELLED' })
  t.notMatch(inspect(error, { depth: 20, showHidden: true }), auth)
})
