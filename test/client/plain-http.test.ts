import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import * as undici from 'undici'
import { Answer } from '../../lib/client/answer.ts'
import * as plain from '../../lib/client/plain-http.ts'

const options = { method: 'GET', path: '/', headers: { authorization: 'Bearer x' } } as const

async function listening(t: Test, server: Server): Promise<string> {
  // A socket's path may be 107 bytes long, which tap's own folders use up.
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-'))
  const path = join(folder, 'socket')
  await once(server.listen(path), 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await rm(folder, { recursive: true })
  })
  return path
}

const http = (t: Test, listener: RequestListener): Promise<string> => listening(t, createHttpServer(listener))
const raw = (t: Test, answer: (socket: Socket) => void): Promise<string> =>
  listening(
    t,
    createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => answer(socket))
    }),
  )

type Dispatch = Omit<undici.Dispatcher.DispatchOptions, 'path' | 'method'> & { path?: string; method?: undici.Dispatcher.HttpMethod }

for (const [name, Pool] of [
  ['undici', undici.Pool],
  ['the stand-in', plain.Pool as unknown as typeof undici.Pool],
] as const) {
  const opened = (t: Test, socketPath: string): undici.Pool => {
    const pool = new Pool('http://slotpool', { connect: { timeout: 5_000, socketPath }, headersTimeout: 0, bodyTimeout: 0 })
    t.teardown(() => pool.destroy())
    return pool
  }
  const ask = async (pool: undici.Pool, more: Dispatch = {}, signal?: AbortSignal) => {
    const chunks: Buffer[] = []
    const answer = new Answer({ onChunk: (chunk) => void chunks.push(chunk) }, signal)
    pool.dispatch({ ...options, ...more }, answer)
    const { status, refusal } = await answer.over
    return { status, content: Buffer.concat(chunks).toString(), refusal: refusal.toString() }
  }

  t.test(`${name}: requests and answers`, async (t) => {
    let connections = 0
    const server = createHttpServer(async (request, response) => {
      const body = await text(request)
      if (request.method === 'DELETE') response.writeHead(204).end()
      else if (request.url === '/wrong') response.writeHead(404).end('not here')
      else if (request.url === '/chunks')
        for (const part of ['one ', 'two ', '']) part === '' ? response.end('three') : response.write(part)
      else
        response.end(JSON.stringify([request.method, request.url, body, request.headers.authorization, request.headers['content-length']]))
    })
    server.on('connection', () => connections++)
    const pool = opened(t, await listening(t, server))
    t.same(JSON.parse((await ask(pool)).content), ['GET', '/', '', 'Bearer x', null])
    const body = Buffer.from('é')
    t.same(JSON.parse((await ask(pool, { method: 'POST', path: '/a?b=c', body })).content), ['POST', '/a?b=c', 'é', 'Bearer x', '2'])
    t.same(await ask(pool, { method: 'DELETE' }), { status: 204, content: '', refusal: '' })
    t.same(await ask(pool, { path: '/wrong' }), { status: 404, content: '', refusal: 'not here' })
    t.match(await ask(pool, { path: '/chunks' }), { status: 200, content: 'one two three' })
    if (name !== 'undici') t.equal(connections, 1, 'over one connection')
    t.equal((await Promise.all([ask(pool), ask(pool)])).length, 2)
    if (name !== 'undici') t.equal(connections, 2, 'and two at once over two')
  })

  t.test(`${name}: nothing more is read until a sink is done`, async (t) => {
    const bytes = 8 * 1024 * 1024
    let written = 0
    const pool = opened(
      t,
      await http(t, async (_, response) => {
        for (; written < bytes; written += 64 * 1024) if (!response.write(Buffer.alloc(64 * 1024))) await once(response, 'drain')
        response.end()
      }),
    )
    let read = 0
    let busy = false
    const answer = new Answer(
      {
        onChunk: (chunk) => {
          t.notOk(busy, 'one at a time')
          read += chunk.length
          busy = true
          return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
            busy = false
          })
        },
      },
      undefined,
    )
    pool.dispatch(options, answer)
    await answer.over
    t.equal(read, bytes)
  })

  t.test(`${name}: answers in whatever pieces`, async (t) => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n'
    for (const [answer, content] of [
      [`${head}5;a=b\r\nhello\r\n0C\r\n, there you \r\n0\r\nTrailer: x\r\n\r\n`, 'hello, there you '],
      ['HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello', 'hello'],
      ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', ''],
    ] as const) {
      const path = await raw(t, async (socket) => {
        socket.setNoDelay(true)
        for (const byte of answer) await new Promise((resolve) => socket.write(byte, resolve))
      })
      t.match(await ask(opened(t, path)), { status: 200, content })
    }
  })

  t.test(`${name}: what goes wrong is told`, async (t) => {
    for (const answer of [
      'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n',
      '',
    ]) {
      const path = await raw(t, (socket) => socket.end(answer))
      await t.rejects(ask(opened(t, path)), { code: 'UND_ERR_SOCKET' }, JSON.stringify(answer))
    }
    for (const answer of [
      'SSH-2.0-OpenSSH_9.2\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nhello\r\n',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n',
    ]) {
      const path = await raw(t, (socket) => socket.write(answer))
      await t.rejects(ask(opened(t, path)), Error, JSON.stringify(answer))
    }
    await t.rejects(ask(opened(t, '/nonexistent/socket')), { code: 'ENOENT' })
    const silent = await raw(t, () => {})
    await t.rejects(ask(opened(t, silent), { headersTimeout: 1 }), { code: 'UND_ERR_HEADERS_TIMEOUT' })
    await t.rejects(ask(opened(t, silent), {}, AbortSignal.abort(new Error('early'))), { message: 'early' })
    const controller = new AbortController()
    const late = await raw(t, () => controller.abort(new Error('late')))
    await t.rejects(ask(opened(t, late), {}, controller.signal), { message: 'late' })
  })

  t.test(`${name}: what a sink throws breaks the connection and is the error`, async (t) => {
    const pool = opened(t, await http(t, (_, response) => void response.end('hello')))
    for (const onChunk of [
      () => {
        throw new Error('no more')
      },
      () => Promise.reject(new Error('no more')),
    ]) {
      const answer = new Answer({ onChunk }, undefined)
      pool.dispatch(options, answer)
      await t.rejects(answer.over, { message: 'no more' })
    }
    t.match(await ask(pool), { content: 'hello' }, 'the next has another')
  })

  t.test(`${name}: destroyed`, async (t) => {
    const pool: undici.Pool = opened(t, await raw(t, () => void pool.destroy()))
    await t.rejects(ask(pool), { code: 'UND_ERR_DESTROYED' })
    t.ok(pool.destroyed || pool.closed)
    await t.rejects(ask(pool), { code: 'UND_ERR_DESTROYED' })
  })
}
