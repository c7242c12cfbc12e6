import t from 'tap'
import { NomadClient } from '../../../lib/nomad/client.ts'
import { listJobEvaluations } from '../../../lib/nomad/evaluations.ts'
import { followEvents, type NomadEvent } from '../../../lib/nomad/event-stream.ts'
import { deregisterJob, registerJob } from '../../../lib/nomad/jobs.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { relay } from '../../fixtures/relay.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const skip = (await nomadSkip()) || (await dockerSkip())

t.setTimeout(300_000)

/** A job that no node can run: it makes events and nothing else. */
const unplaceable = (id: string) => ({
  ...{ ID: id, Name: id, Type: 'batch', Datacenters: ['nowhere'] },
  TaskGroups: [{ Name: 'g', Count: 1, Tasks: [{ Name: 't', Driver: 'raw_exec', Config: { command: 'true' } }] }],
})

t.test('the event stream of a real Nomad', { skip }, async (t) => {
  const { address, client } = await nomadAgent(t, { acl: false })
  const way = await relay(t, { host: '127.0.0.1', port: Number(new URL(address).port) })
  const far = new NomadClient({ address: `http://127.0.0.1:${(way.at as { port: number }).port}` })
  t.teardown(() => far.close())
  await registerJob(client, unplaceable('before'), 0)

  const abort = new AbortController()
  const events: NomadEvent[] = []
  const points: number[] = []
  let connected = 0
  let wake = () => {}
  const following = followEvents(
    far,
    {
      topics: { Job: ['own'], Evaluation: ['own'] },
      since: async (signal) => {
        const { index } = await listJobEvaluations(client, 'own', {}, signal)
        points.push(index)
        return index
      },
      onConnected: () => {
        connected++
        wake()
      },
      onEvents: (told) => {
        events.push(...told)
        wake()
      },
    },
    abort.signal,
  )
  t.teardown(async () => {
    abort.abort()
    await following
  })
  const until = async (so: () => boolean) => {
    const awake = setInterval(() => {}, 60_000)
    while (!so()) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    clearInterval(awake)
  }

  await t.test('gives a sign of life at once, and then what happens to what was asked for', async (t) => {
    await until(() => connected === 1)
    await registerJob(client, unplaceable('other'), 0)
    await registerJob(client, unplaceable('own'), 0)
    await until(() => events.some((one) => one.Topic === 'Job') && events.some((one) => one.Topic === 'Evaluation'))
    t.ok(
      events.filter((one) => one.Topic === 'Job').every((one) => one.Key === 'own'),
      'neither of another job nor from before',
    )
  })

  await t.test('goes on after the connection was lost, from where a list left off', async (t) => {
    await way.down()
    await deregisterJob(client, 'own', { purge: true })
    events.length = 0
    await way.up()
    await until(() => connected === 2)
    t.ok((points.at(-1) ?? 0) > (points[0] ?? 0))
    await registerJob(client, unplaceable('own'), 0)
    await until(() => events.some((one) => one.Topic === 'Job' && one.Type === 'JobRegistered'))
    t.notOk(
      events.some((one) => one.Type === 'JobDeregistered'),
      'what was in the list is not told again',
    )
  })
})
