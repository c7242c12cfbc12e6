import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { downloadBlob } from '../../../lib/backend/registry/blob-download.ts'
import { uploadBlob } from '../../../lib/backend/registry/blob-upload.ts'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { RemoteRepository } from '../../../lib/backend/registry/remote-repository.ts'
import { scriptedRegistry } from '../../fixtures/scripted-registry.ts'
import { described } from '../../fixtures/small-image.ts'
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

/** A blob in a repository of a registry whose answers may pause for milliseconds, and where to download it to. */
function remoteBlob(t: Test, host: string) {
  const remote = new RemoteRepository({ host, repository: 'a' }, { actions: 'pull,push', silence: { answerMs: 20_000, bodyMs: 50 } })
  t.teardown(() => remote.close())
  return { remote, path: join(t.testdir(), 'blob'), transfer: { onBytes: () => {} } }
}

t.test('an answer that falls silent in its middle is not waited for', async (t) => {
  let silentToken = false
  const host = await scriptedRegistry(t, (request, response) => {
    if (silentToken && request.url?.startsWith('/v2/')) askForToken(request, response)
    else begin(response)
  })
  const { remote } = remoteBlob(t, host)
  const silent = { code: 'REGISTRY_REQUEST_FAILED', retryable: true, message: /its answer was cut \(nothing came for 50 ms\)$/ }
  await t.rejects(remote.document('1'), silent)
  silentToken = true
  withVariable(t, 'DOCKER_CONFIG', t.testdirName)
  writeFileSync(join(t.testdirName, 'config.json'), JSON.stringify({ auths: { [host]: { identitytoken: 'x' } } }))
  await t.rejects(remote.document('1'), silent, 'nor that of a token, which is asked for by a form')
})

t.test('a download that falls silent goes on by another request', async (t) => {
  const { descriptor, content } = described('text/plain', Buffer.from('all of it'))
  let requests = 0
  const host = await scriptedRegistry(t, ({ headers }, response) => {
    requests++
    const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from === 0 ? 200 : 206, { 'content-length': content.length - from, 'content-range': `bytes ${from}-8/9` })
    if (from === 0) response.write(content.subarray(0, 4))
    else response.end(content.subarray(from))
  })
  const { remote, path, transfer } = remoteBlob(t, host)
  await downloadBlob(remote, descriptor, path, transfer)
  t.equal(readFileSync(path, 'utf8'), 'all of it')
  t.ok(requests > 1)
})

t.test('a download that begins anew each time and gets no further is given up', async (t) => {
  const { descriptor, content } = described('text/plain', Buffer.from('all of it'))
  let requests = 0
  const host = await scriptedRegistry(t, (_request, response) => {
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, requests++ % 2 === 0 ? 1 : 4), () => response.destroy())
  })
  const { remote, path, transfer } = remoteBlob(t, host)
  await t.rejects(downloadBlob(remote, descriptor, path, transfer), { code: 'REGISTRY_REQUEST_FAILED', message: /was cut/ })
  t.equal(existsSync(path), false)
})

t.test('an upload that is refused before its end leaves no file open', async (t) => {
  const { descriptor, content } = described('text/plain', Buffer.alloc(4 << 20, 'x'))
  const host = await scriptedRegistry(t, ({ method }, response) => {
    if (method === 'PATCH') response.writeHead(500).end('no room')
    else response.writeHead(method === 'POST' ? 202 : 204, { location: '/v2/a/blobs/uploads/1' }).end()
  })
  const { remote, path, transfer } = remoteBlob(t, host)
  writeFileSync(path, content)
  await t.rejects(uploadBlob(remote, descriptor, path, transfer), { code: 'REGISTRY_REQUEST_FAILED', message: /no room/ })
  const open = (): string[] => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === path)
  while (open().length > 0) await new Promise(setImmediate)
  t.pass('closed')
})

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}
