import type { IncomingMessage, ServerResponse } from 'node:http'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { NomadClient } from '../../lib/nomad/client.ts'
import { type EventStreamOptions, followEvents, type NomadEvent } from '../../lib/nomad/event-stream.ts'
import { answering, deadAddress } from '../fixtures/fake-nomad.ts'

const secret = '5ec2e7-70ce2-0f-7h15-7e57'

const line = (index: number, ...keys: string[]) =>
  `${JSON.stringify({ Index: index, Events: keys.map((Key) => ({ Topic: 'Allocation', Type: 'AllocationUpdated', Key, Payload: { large: true } })) })}\n`

/** What a follower was told, in its order. */
type Told = 'since' | 'connected' | { index: number; keys: string[] }

interface Followed {
  told: Told[]
  /** Resolves when it was told so much. */
  until(so: () => boolean): Promise<void>
  end(): Promise<void>
}

/** Follows a server that answers so; each `since` gives the next of these points. */
function follow(t: Test, address: string, since: number[], options: Partial<EventStreamOptions> = {}): Followed {
  const client = new NomadClient({ address, token: secret, namespace: 'n' })
  const abort = new AbortController()
  const told: Told[] = []
  let wake = () => {}
  const tell = (what: Told) => {
    told.push(what)
    wake()
  }
  const following = followEvents(
    client,
    {
      topics: { Allocation: ['job'], Job: ['job'] },
      since: async () => {
        tell('since')
        return since.shift() ?? 1000
      },
      onConnected: () => tell('connected'),
      onEvents: (events: readonly NomadEvent[], index) => tell({ index, keys: events.map((one) => one.Key) }),
      firstPauseMs: 1,
      ...options,
    },
    abort.signal,
  )
  let failure: unknown
  following.catch((error: unknown) => {
    failure = error
    wake()
  })
  const end = async () => {
    abort.abort()
    await following
  }
  t.teardown(async () => {
    await end().catch(() => {})
    client.close()
  })
  return {
    told,
    until: async (so) => {
      const awake = setInterval(() => {}, 60_000)
      try {
        while (!so()) {
          if (failure) throw failure
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      } finally {
        clearInterval(awake)
      }
    },
    end,
  }
}

type Answer = (response: ServerResponse, request: IncomingMessage) => void

/** Answers each request by the next of these, the last one from then on; the requests it got. */
async function scripted(t: Test, ...answers: Answer[]): Promise<{ address: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = []
  const address = await answering(t, (request, response) => {
    asked.push(request)
    answers[Math.min(asked.length, answers.length) - 1]?.(response, request)
  })
  return { address, asked }
}

t.test('what is asked for', async (t) => {
  const { address, asked } = await scripted(t, (response) => response.write('{}\n'))
  const { until, told, end } = follow(t, address, [42])
  await until(() => told.includes('connected'))
  const url = new URL(asked[0]?.url ?? '', address)
  t.equal(url.pathname, '/v1/event/stream')
  t.same(url.searchParams.getAll('topic'), ['Allocation:job', 'Job:job'])
  t.match(Object.fromEntries(url.searchParams), { index: '42', namespace: 'n' })
  t.equal(asked[0]?.headers['x-nomad-token'], secret)
  await end()
  t.same(told, ['since', 'connected'])
})

t.test('events after the known point, each once; heartbeats are nothing to tell', async (t) => {
  const { address } = await scripted(t, (response) => {
    response.write(`{}\n${line(40, 'old')}${line(42, 'known')}${line(43, 'a', 'b')}`)
    response.write(`{}\n${line(43, 'a', 'b')}${line(45, 'c')}`)
  })
  const { until, told, end } = follow(t, address, [42])
  await until(() => told.length === 4)
  t.same(told, ['since', 'connected', { index: 43, keys: ['a', 'b'] }, { index: 45, keys: ['c'] }])
  await end()
})

t.test('a line that comes in pieces, cut within a character', async (t) => {
  const bytes = Buffer.from(line(2, 'über'))
  const at = bytes.indexOf('ü') + 1
  const { address } = await scripted(t, (response) => {
    response.write(bytes.subarray(0, at))
    setImmediate(() => response.write(bytes.subarray(at)))
  })
  const { until, told } = follow(t, address, [1])
  await until(() => told.length === 3)
  t.same(told.at(-1), { index: 2, keys: ['über'] })
})

const losses: Record<string, Answer> = {
  ends: (response) => response.end('{}\n'),
  'is cut': (response) => response.write('{}\n', () => response.destroy()),
  'is cut within a line': (response) => response.write(`{}\n${line(7, 'lost').slice(0, 20)}`, () => response.destroy()),
  'says something else': (response) => response.write('{}\n<html>bad gateway</html>\n'),
  'says something like it': (response) => response.write('{}\n{"Index":"7","Events":[]}\n'),
  'says that it failed': (response) => response.write(`{}\n{"Code":500,"Message":"subscription closed by server"}\n`),
  'answers 500': (response) => response.writeHead(500).end('No cluster leader'),
  'answers 429': (response) => response.writeHead(429).end('slow down'),
}

for (const [name, lose] of Object.entries(losses)) {
  t.test(`a connection that ${name} is made again, from a point of its own`, async (t) => {
    const { address, asked } = await scripted(t, lose, lose, (response) => response.write(`{}\n${line(8, 'old')}${line(91, 'new')}`))
    const { until, told, end } = follow(t, address, [5, 6, 90])
    await until(() => told.some((one) => typeof one === 'object'))
    t.same(told.at(-1), { index: 91, keys: ['new'] })
    t.equal(told.filter((one) => one === 'since').length, 3)
    t.same(
      asked.map(({ url }) => new URL(url ?? '', address).searchParams.get('index')),
      ['5', '6', '90'],
    )
    await end()
  })
}

t.test('a history that begins anew', async (t) => {
  const { address } = await scripted(
    t,
    (response) => response.write(`{}\n${line(5001, 'a')}`, () => response.destroy()),
    (response) => response.write(`{}\n${line(8, 'b')}`),
  )
  const { until, told } = follow(t, address, [5000, 7])
  await until(() => told.some((one) => typeof one === 'object' && one.index === 8))
})

t.test('silence is the loss of a connection, before the answer and in it', async (t) => {
  const { address, asked } = await scripted(
    t,
    () => undefined,
    (response) => response.write('{}\n'),
    (response) => response.write(`{}\n${line(9, 'a')}`),
  )
  const { until, told } = follow(t, address, [1, 1, 1], { silentAfterMs: 50 })
  await until(() => told.some((one) => typeof one === 'object'))
  t.ok(asked.length >= 3)
})

t.test('a sign of life keeps it', async (t) => {
  let beats = 0
  const { address, asked } = await scripted(t, (response) => {
    const timer = setInterval(() => {
      beats++
      response.write(beats < 30 ? '{}\n' : line(9, 'a'))
    }, 20)
    t.teardown(() => clearInterval(timer))
  })
  const { until, told } = follow(t, address, [1], { silentAfterMs: 400 })
  await until(() => told.some((one) => typeof one === 'object'))
  t.equal(asked.length, 1)
})

t.test('an agent that is not there is waited for', async (t) => {
  const address = await deadAddress()
  const { until, told, end } = follow(t, address, [1, 1, 1])
  await until(() => told.length === 3)
  await end()
  t.same(told, ['since', 'since', 'since'])
})

t.test('a failure that will not pass is thrown, and the token is nowhere in it', async (t) => {
  for (const [status, body, code] of [
    [403, `Permission denied for ${secret}`, 'NOMAD_FORBIDDEN'],
    [404, 'Invalid method', 'NOMAD_REQUEST_FAILED'],
    [400, 'Unable to parse index', 'NOMAD_REQUEST_FAILED'],
    [307, '', 'NOMAD_REQUEST_FAILED'],
  ] as const) {
    const { address, asked } = await scripted(t, (response) => response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(body))
    const { until } = follow(t, address, [1])
    const error = await until(() => false).catch((thrown: unknown) => thrown)
    t.match(error, { code, retryable: false })
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), secret)
    t.equal(asked.length, 1)
  }
})

t.test('so is what the list says', async (t) => {
  const { address, asked } = await scripted(t, (response) => response.write('{}\n'))
  const since = async () => {
    throw new TypeError('a mistake')
  }
  const { until } = follow(t, address, [], { since })
  await t.rejects(
    until(() => false),
    TypeError,
  )
  t.equal(asked.length, 0)
})

t.test('an abort ends it: the connection too, in a pause, and while the list is asked for', async (t) => {
  let closed: Promise<unknown> | undefined
  const { address } = await scripted(t, (response, request) => {
    closed = new Promise((resolve) => request.socket.once('close', resolve))
    response.write('{}\n')
  })
  const standing = follow(t, address, [1])
  await standing.until(() => standing.told.includes('connected'))
  await standing.end()
  await closed

  const lost = await scripted(t, (response) => response.writeHead(500).end())
  const pausing = follow(t, lost.address, [1], { firstPauseMs: 3_600_000 })
  await pausing.until(() => pausing.told.length > 0)
  while (lost.asked.length === 0) await new Promise((resolve) => setImmediate(resolve))
  await pausing.end()
  t.equal(lost.asked.length, 1)

  let asks = 0
  const asking = follow(t, address, [], {
    since: (signal) =>
      new Promise((resolve) => {
        asks++
        signal.addEventListener('abort', () => resolve(1))
      }),
  })
  while (asks === 0) await new Promise((resolve) => setImmediate(resolve))
  await asking.end()
  t.same(asking.told, [])
})

t.test('a path before the API’s stays', async (t) => {
  const { address, asked } = await scripted(t, (response) => response.write('{}\n'))
  const { until, told } = follow(t, `${address}/nomad/`, [1])
  await until(() => told.includes('connected'))
  t.match(asked[0]?.url, /^\/nomad\/v1\/event\/stream\?/)
})
