import type { IncomingMessage, ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { z } from 'zod'
import { SlotpoolError } from '../../lib/errors.ts'
import { NomadClient } from '../../lib/nomad/client.ts'
import { answering, deadAddress } from '../fixtures/fake-nomad.ts'

const secret = '5ec2e7-70ce2-0f-7h15-7e57'
const schema = z.object({ a: z.int() })

/** What a request to a server that answers so comes to: an error, which must be one. */
async function failure(t: Test, status: number, body: string, headers: Record<string, string> = {}): Promise<SlotpoolError> {
  const address = await answering(t, (_request, response) => response.writeHead(status, headers).end(body))
  return refused(t, new NomadClient({ address, token: secret }))
}

async function refused(t: Test, client: NomadClient, signal?: AbortSignal): Promise<SlotpoolError> {
  t.teardown(() => client.close())
  try {
    await client.request({ method: 'PUT', path: '/v1/jobs', body: {}, schema, purpose: 'register job x', signal, timeoutMs: 500 })
  } catch (error) {
    t.type(error, SlotpoolError)
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), secret, 'the token is nowhere in the error')
    return error as SlotpoolError
  }
  throw new Error('it did not fail')
}

t.test('no connection is NOMAD_UNAVAILABLE and names the address', async (t) => {
  const address = await deadAddress()
  const error = await refused(t, new NomadClient({ address, token: secret }))
  t.match(error, { code: 'NOMAD_UNAVAILABLE', retryable: true, details: { address, reason: 'ECONNREFUSED' } })
  t.match(error.message, `no answer from Nomad at ${address}`)
  t.match(error.message, /to register job x/)
})

t.test('a server that accepts and says nothing is NOMAD_UNAVAILABLE', async (t) => {
  const address = await answering(t, () => undefined)
  const error = await refused(t, new NomadClient({ address, token: secret }))
  t.match(error, { code: 'NOMAD_UNAVAILABLE', retryable: true })
  t.match(error.message, /timeout/)
})

t.test('a connection that is cut is NOMAD_UNAVAILABLE', async (t) => {
  const address = await answering(t, (request) => request.socket.destroy())
  t.match(await refused(t, new NomadClient({ address, token: secret })), { code: 'NOMAD_UNAVAILABLE' })
})

t.test('403 is NOMAD_FORBIDDEN with Nomad’s words and what it was for', async (t) => {
  const error = await failure(t, 403, 'Permission denied')
  t.match(error, { code: 'NOMAD_FORBIDDEN', retryable: false, details: { status: 403, path: '/v1/jobs' } })
  t.match(error.message, /refused to register job x: Permission denied/)
})

t.test('409 is NOMAD_CONFLICT, without the body, which may hold a variable', async (t) => {
  const error = await failure(t, 409, JSON.stringify({ Items: { token: 'another-secret' } }))
  t.match(error, { code: 'NOMAD_CONFLICT', retryable: true })
  t.notMatch(inspect(error, { depth: 20 }), 'another-secret')
})

t.test('a job that was changed since it was read is NOMAD_CONFLICT, though Nomad answers 500', async (t) => {
  const error = await failure(t, 500, 'rpc error: Enforcing job modify index 7: job exists with conflicting job modify index: 9')
  t.match(error, { code: 'NOMAD_CONFLICT' })
  t.match(error.message, /conflicting job modify index: 9/)
})

t.test('other failures are NOMAD_REQUEST_FAILED with status and words', async (t) => {
  const server = await failure(t, 500, 'No cluster leader')
  t.match(server, { code: 'NOMAD_REQUEST_FAILED', retryable: true, details: { status: 500, words: 'No cluster leader' } })
  t.match(server.message, /failed to register job x: got status 500: No cluster leader/)
  t.match(await failure(t, 400, 'job scaling blocked'), { code: 'NOMAD_REQUEST_FAILED', retryable: false })
})

t.test('refused for too many connections, a request is made again, for a while', async (t) => {
  let asked = 0
  const busy = await answering(t, (_request, response) => response.writeHead(++asked < 4 ? 429 : 200).end('{"a":1}'))
  const client = new NomadClient({ address: busy })
  t.teardown(() => client.close())
  const put = { method: 'PUT', path: '/v1/jobs', body: {}, schema, purpose: 'register job x' } as const
  t.same((await client.request(put)).value, { a: 1 })
  t.equal(asked, 4)

  const full = await answering(t, (_request, response) => response.writeHead(429).end('too many'))
  const error = await refused(t, new NomadClient({ address: full, token: secret }, { crowdedPatienceMs: 300 }))
  t.match(error, { code: 'NOMAD_REQUEST_FAILED', retryable: true, details: { status: 429 } })

  const giveUp = new AbortController()
  const gone = await answering(t, (_request, response) => {
    response.writeHead(429).end('too many')
    setImmediate(() => giveUp.abort())
  })
  t.match(await refused(t, new NomadClient({ address: gone, token: secret }), giveUp.signal), { code: 'CANCELLED' })
})

t.test('a long page is cut, HTML is not quoted', async (t) => {
  t.ok((await failure(t, 500, 'x'.repeat(100_000))).message.length < 2000)
  t.notMatch((await failure(t, 502, '<html>proxy</html>')).message, /html/)
})

t.test('a token that the server echoes does not come through', async (t) => {
  t.match((await failure(t, 500, `unknown token ${secret}`)).message, /unknown token \(hidden\)/)
})

t.test('a redirect is not followed', async (t) => {
  const asked: IncomingMessage[] = []
  const elsewhere = await answering(t, (request, response) => {
    asked.push(request)
    response.end('{"a":1}')
  })
  const error = await failure(t, 307, '', { location: `${elsewhere}/v1/jobs` })
  t.match(error, { code: 'NOMAD_REQUEST_FAILED', retryable: false })
  t.match(error.message, elsewhere)
  t.equal(asked.length, 0)
})

t.test('an answer that is not Nomad’s says so', async (t) => {
  for (const body of ['hello', '<html></html>', '[]', '{"a":"b"}', '']) {
    const error = await failure(t, 200, body)
    t.match(error, { code: 'NOMAD_REQUEST_FAILED', retryable: false }, JSON.stringify(body))
    t.match(error.message, /is not one of Nomad's/)
  }
})

t.test('an abort is CANCELLED, before and during the request', async (t) => {
  const abort = new AbortController()
  const address = await answering(t, () => abort.abort(new Error('enough')))
  t.match(await refused(t, new NomadClient({ address, token: secret }), abort.signal), { code: 'CANCELLED' })
  t.match(await refused(t, new NomadClient({ address, token: secret }), abort.signal), { code: 'CANCELLED' })
})

t.test('token, namespace, region and the query are sent, and no proxy of the environment is used', async (t) => {
  const proxy = await deadAddress()
  const before = { ...process.env }
  t.teardown(() => {
    process.env = before
  })
  process.env = { ...before, http_proxy: proxy, HTTP_PROXY: proxy, all_proxy: proxy, ALL_PROXY: proxy, no_proxy: '', NO_PROXY: '' }
  const asked: IncomingMessage[] = []
  const address = await answering(t, (request, response) => {
    asked.push(request)
    response.setHeader('X-Nomad-Index', '42').end('{"a":1,"b":2}')
  })
  const client = new NomadClient({ address, token: secret, namespace: 'team a', region: 'eu' })
  t.teardown(() => client.close())
  const answer = await client.request({ path: '/v1/job/x', query: { index: 5, wait: undefined }, schema, purpose: 'read job x' })
  t.strictSame(answer, { value: { a: 1 }, index: 42 })
  const url = new URL(asked[0]?.url ?? '', address)
  t.strictSame(Object.fromEntries(url.searchParams), { namespace: 'team a', region: 'eu', index: '5' })
  t.equal(asked[0]?.headers['x-nomad-token'], secret)
})

t.test('find gives null for 404, request does not', async (t) => {
  const address = await answering(t, (_request, response) => response.writeHead(404).end('job not found'))
  const client = new NomadClient({ address })
  t.teardown(() => client.close())
  t.equal((await client.find({ path: '/v1/job/x', schema, purpose: 'read job x' })).value, null)
  await t.rejects(client.request({ path: '/v1/job/x', schema, purpose: 'read job x' }), { code: 'NOMAD_REQUEST_FAILED' })
})

t.test('one connection serves requests that follow each other, and close ends it', async (t) => {
  const sockets = new Set<unknown>()
  const address = await answering(t, (request, response) => {
    sockets.add(request.socket)
    response.end('{"a":1}')
  })
  const client = new NomadClient({ address })
  for (let i = 0; i < 5; i++) await client.request({ path: '/v1/x', schema, purpose: 'x' })
  t.equal(sockets.size, 1)
  const [socket] = sockets as Set<IncomingMessage['socket']>
  const closed = new Promise((resolve) => socket?.once('close', resolve))
  client.close()
  await closed
})

t.test('one signal may be that of many requests at once, without a warning of a leak', async (t) => {
  const warnings: string[] = []
  const onWarning = ({ name }: Error): void => void warnings.push(name)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const { signal } = new AbortController()
  const waiting: ServerResponse[] = []
  const address = await answering(t, (_request, response) => {
    waiting.push(response)
    if (waiting.length === 12) for (const one of waiting) one.end('{"a":1}')
  })
  const client = new NomadClient({ address })
  t.teardown(() => client.close())
  await Promise.all(Array.from({ length: 12 }, () => client.request({ path: '/v1/x', schema, purpose: 'look', signal })))
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, [])
})
