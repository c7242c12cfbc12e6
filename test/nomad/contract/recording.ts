import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { isDeepStrictEqual } from 'node:util'

/** One request and what a real agent answered. */
export interface Exchange {
  method: string
  path: string
  /** In the order of their names. */
  query: [string, string][]
  /** Whether it came with the token that may do everything; no token is recorded. */
  token: boolean
  body?: unknown
  status: number
  /** `X-Nomad-Index`. */
  index?: string
  type?: string
  /** JSON as it is; of a stream that went on until it was given up, its lines. */
  answer: unknown
}

/** What a real agent said to each scenario of the contract. */
export interface Recording {
  /** The agent's version. */
  nomad: string
  scenarios: Record<string, Exchange[]>
}

/** A server in the place of an agent. */
export interface Stand {
  address: string
  exchanges: Exchange[]
  /** Ends it. Throws when a replay was asked for something else than what is recorded, or for less. */
  close(): Promise<void>
}

type Asked = Pick<Exchange, 'method' | 'path' | 'query' | 'token' | 'body'>

/** Passes requests on to a real agent, and notes what it answers. */
export async function record(agentAddress: string, token: string): Promise<Stand> {
  const exchanges: Exchange[] = []
  const agent = new URL(agentAddress)
  const server = createServer(async (incoming, outgoing) => {
    const raw = await text(incoming)
    const exchange: Exchange = { ...asked(incoming, raw, token), status: 0, answer: null }
    exchanges.push(exchange)
    const { method = 'GET', url = '/', headers } = incoming
    const sent = request({
      host: agent.hostname,
      port: agent.port,
      method,
      path: url,
      headers: { ...headers, host: agent.host, 'accept-encoding': 'identity' },
    })
    // A blocking query or a stream that is given up is given up there, too.
    outgoing.once('close', () => sent.destroy())
    sent.once('error', () => outgoing.destroy())
    sent.once('response', (answer) => {
      exchange.status = answer.statusCode ?? 0
      Object.assign(exchange, {
        ...(answer.headers['x-nomad-index'] === undefined ? {} : { index: answer.headers['x-nomad-index'] }),
        ...(answer.headers['content-type'] === undefined ? {} : { type: answer.headers['content-type'] }),
      })
      outgoing.writeHead(exchange.status, answerHeaders(exchange))
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        body += chunk
        outgoing.write(chunk)
      })
      answer.once('error', () => {})
      answer.once('end', () => outgoing.end())
      answer.once('close', () => {
        exchange.answer = isStream(exchange) ? body.split('\n').filter(Boolean).map(parsed) : ofNomad(exchange, parsed(body))
      })
    })
    sent.end(raw)
  })
  return { ...(await listening(server)), exchanges, close: () => ended(server) }
}

/** Answers what a real agent once answered, to those requests and in that order. */
export async function replay(exchanges: readonly Exchange[], token: string): Promise<Stand> {
  const left = [...exchanges]
  const unknown: Asked[] = []
  const server = createServer(async (incoming, outgoing) => {
    const wanted = asked(incoming, await text(incoming), token)
    const at = left.findIndex((one) => isDeepStrictEqual(pick(one), wanted))
    if (at === -1) {
      unknown.push(wanted)
      outgoing.writeHead(501).end('this request is not in the recording')
      return
    }
    const [exchange] = left.splice(at, 1) as [Exchange]
    outgoing.writeHead(exchange.status, answerHeaders(exchange))
    if (!isStream(exchange)) outgoing.end(typeof exchange.answer === 'string' ? exchange.answer : JSON.stringify(exchange.answer))
    else for (const line of exchange.answer as unknown[]) outgoing.write(`${JSON.stringify(line)}\n`)
  })
  const close = async (): Promise<void> => {
    await ended(server)
    const never = left.map((one) => `${one.method} ${one.path}`)
    if (unknown.length > 0) throw new Error(`asked for what is not recorded: ${JSON.stringify(unknown)}; left: ${never.join(', ')}`)
    if (never.length > 0) throw new Error(`recorded, and never asked for: ${never.join(', ')}`)
  }
  return { ...(await listening(server)), exchanges: [...exchanges], close }
}

function asked(incoming: IncomingMessage, raw: string, token: string): Asked {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://nomad')
  return {
    method: incoming.method ?? 'GET',
    path: pathname,
    query: [...searchParams].sort(([a], [b]) => (a < b ? -1 : Number(a > b))),
    token: incoming.headers['x-nomad-token'] === token,
    ...(raw === '' ? {} : { body: parsed(raw) }),
  }
}

const pick = ({ method, path, query, token, body }: Exchange): Asked => ({
  method,
  path,
  query,
  token,
  ...(body === undefined ? {} : { body }),
})

const isStream = ({ path }: Exchange): boolean => path === '/v1/event/stream'

function answerHeaders({ index, type }: Exchange): Record<string, string> {
  return { ...(index === undefined ? {} : { 'x-nomad-index': index }), ...(type === undefined ? {} : { 'content-type': type }) }
}

/** What an agent says of itself is mostly of the machine it runs on. */
function ofNomad({ path, status }: Exchange, answer: unknown): unknown {
  if (path !== '/v1/agent/self' || status !== 200) return answer
  const { config } = answer as { config: { Version: unknown } }
  return { config: { Version: config.Version } }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

async function listening(server: Server): Promise<{ address: string }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function ended(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
