import t, { type Test } from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { agreeOnRoster, rosterInForce } from '../../lib/pool/agree-on-roster.ts'
import { Containers } from '../../lib/pool/containers.ts'

const signal = new AbortController().signal

async function containersOf(t: Test, count: number, backend = new FakeBackend({ slots: 2 })) {
  t.teardown(() => backend.destroy())
  await backend.grow(count)
  const another = () => {
    const containers = new Containers(backend)
    t.teardown(() => containers.close())
    return containers
  }
  const containers = another()
  const idOf = async (index: number) => (await backend.list())[index]?.id ?? ''
  const rosters = async () => Promise.all((await containers.look()).ready.map(({ client }) => client.roster()))
  return { backend, containers, another, idOf, rosters }
}

/** A connection that a server broke by starting anew may be noticed by the next request alone. */
async function untilAllAnswer(containers: Containers) {
  for (;;) {
    const agreement = await agreeOnRoster(containers, signal)
    if (agreement.silent.length === 0) return agreement
  }
}

t.test('all managers know one roster, of all containers, however many ask at once', async (t) => {
  const { backend, another, rosters } = await containersOf(t, 5)
  const agreements = await Promise.all(Array.from({ length: 6 }, () => agreeOnRoster(another(), signal)))
  const ids = (await backend.list()).map((one) => one.id).sort()
  for (const { roster, silent } of agreements) {
    t.same(silent, [])
    t.same(
      roster?.members.map((one) => one.id),
      ids,
    )
  }
  const last = await rosters()
  t.equal(new Set(last.map((one) => one?.id)).size, 1)
  t.ok(last.every((one) => one?.open))
  t.match(await rosterInForce(another(), undefined, 0, signal), { id: last[0]?.id })
  t.equal(await rosterInForce(another(), undefined, last[0]?.number ?? 0, signal), undefined, 'a newer one was wanted')
})

t.test('who knows a roster is not told its members once more', async (t) => {
  const { containers } = await containersOf(t, 2)
  const [at] = (await containers.look()).ready
  t.equal(await at?.client.roster(signal), null)
  await agreeOnRoster(containers, signal)
  const whole = await at?.client.roster(signal)
  t.equal(whole?.containers.length, 2)
  const known = { ...whole, id: whole?.id ?? '', number: 1, open: false, containers: ['as it was known'] }
  t.match(await at?.client.roster(signal, known), { id: whole?.id, open: true, containers: ['as it was known'] })
  t.same(await at?.client.roster(signal, { ...known, id: 'another' }), whole)
})

t.test('it stays while the containers do, and is replaced when they change', async (t) => {
  const { backend, containers, another, idOf } = await containersOf(t, 3)
  const first = (await agreeOnRoster(containers, signal)).roster
  t.equal((await agreeOnRoster(another(), signal)).roster?.id, first?.id)
  const changes: [string, () => Promise<unknown>, number][] = [
    ['one more', () => backend.grow(4), 4],
    ['one less', async () => backend.kill(await idOf(0)), 3],
    ['one started anew', async () => backend.restart(await idOf(2)), 3],
  ]
  for (const [what, change, count] of changes) {
    const before = (await agreeOnRoster(containers, signal)).roster
    await change()
    const after = (await untilAllAnswer(containers)).roster
    t.not(after?.id, before?.id, what)
    t.equal(after?.members.length, count, what)
    t.equal((await agreeOnRoster(another(), signal)).roster?.id, after?.id, what)
  }
})

t.test('homes know where their tasks are by the new roster, wherever they were by the one before', async (t) => {
  const { backend, containers } = await containersOf(t, 2)
  const [at] = (await containers.look()).ready
  for (const taskId of ['a', 'b']) await at?.client.lease({ taskId, owner: 'me', ttlMs: 60_000 })
  await backend.grow(6)
  const { roster } = await agreeOnRoster(containers, signal)
  const told = await Promise.all(
    (roster?.members ?? []).map(async ({ at }) => {
      const answers = await Promise.all(['a', 'b'].map((taskId) => at?.client.taskAtHome(taskId, roster?.id ?? '')))
      return answers.map((one) => one?.lease?.taskId ?? one?.elsewhere?.taskId)
    }),
  )
  t.ok(told.some(([a]) => a === 'a') && told.some(([, b]) => b === 'b'))
})

t.test('a manager that died before it opened its roster is not waited for for ever', async (t) => {
  const { containers, another } = await containersOf(t, 3)
  const { ready } = await containers.look()
  const ids = ready.map((one) => one.container.id).sort()
  await ready[0]?.client.proposeRoster({ id: 'of-the-dead', number: 7, added: ids, gone: [], replaces: null })
  const [one, other] = await Promise.all([agreeOnRoster(containers, signal), agreeOnRoster(another(), signal)])
  t.ok((one.roster?.number ?? 0) > 7)
  t.equal(other.roster?.id, one.roster?.id)
})

t.test('a silent container keeps the roster as it is', async (t) => {
  const { backend, containers, another, idOf } = await containersOf(t, 2)
  const before = (await agreeOnRoster(containers, signal)).roster
  const id = await idOf(1)
  backend.pause(id)
  await backend.grow(3)
  t.match(await agreeOnRoster(containers, signal), { roster: { id: before?.id }, silent: [{ id }] })
  t.match(await agreeOnRoster(another(), signal), { roster: { id: before?.id }, silent: [{ id }] }, 'even for who never reached it')
  backend.resume(id)
  t.equal((await agreeOnRoster(containers, signal)).roster?.members.length, 3)
  backend.pause(id)
  await backend.kill(id)
  t.equal((await agreeOnRoster(containers, signal)).roster?.members.length, 2, 'a dead one does not')
})

t.test('a silent container that never was a member is left out', async (t) => {
  const { backend, containers } = await containersOf(t, 2)
  await agreeOnRoster(containers, signal)
  await backend.grow(3)
  const healthy = await backend.list()
  backend.list = async () => healthy
  backend.pause(healthy[2]?.id ?? '')
  const { roster, silent } = await agreeOnRoster(containers, signal)
  t.match(silent, [{ id: healthy[2]?.id }])
  t.equal(roster?.members.length, 2)
  t.equal((await agreeOnRoster(containers, signal)).roster?.id, roster?.id, 'and changes nothing')
})

t.test('where there is no container there is no roster', async (t) => {
  const { containers } = await containersOf(t, 0)
  t.same(await agreeOnRoster(containers, signal), { roster: undefined, silent: [] })
})

t.test('who gives up is told so', async (t) => {
  const { containers } = await containersOf(t, 1)
  const [at] = (await containers.look()).ready
  await at?.client.proposeRoster({ id: 'of-another', number: 1, added: ['x'], gone: [], replaces: null })
  await t.rejects(agreeOnRoster(containers, AbortSignal.timeout(50)), { code: 'CANCELLED' })
})

t.test('a manager that listed the containers before there were more leaves none of them out', async (t) => {
  const { backend, containers, another } = await containersOf(t, 2)
  await agreeOnRoster(containers, signal)
  const early = await backend.list()
  await backend.grow(4)
  const late = (await agreeOnRoster(containers, signal)).roster
  await backend.restart(early[0]?.id ?? '')
  const { list } = backend
  backend.list = async () => {
    backend.list = list
    return early
  }
  t.equal(late?.members.length, 4)
  t.equal((await agreeOnRoster(another(), signal)).roster?.members.length, 4)
})

t.test('a container takes no roster that was made from another than the one it has', async (t) => {
  const { containers } = await containersOf(t, 2)
  const { roster } = await agreeOnRoster(containers, signal)
  const [member] = roster?.members ?? []
  const proposal = { id: 'of-another', number: 9, added: [], gone: [] }
  for (const replaces of [null, 'of-nobody']) {
    await t.rejects(async () => member?.at?.client.proposeRoster({ ...proposal, replaces }), { code: 'ROSTER_CHANGED' })
  }
  t.match(await member?.at?.client.roster(), { id: roster?.id, open: true })
})
