import t from 'tap'
import { FakeBackend } from '../../lib/backend/fake/fake-backend.ts'
import { type AgreedRoster, agreeOnRoster } from '../../lib/pool/agree-on-roster.ts'
import { Containers } from '../../lib/pool/containers.ts'
import { homeOf } from '../../lib/pool/home-order.ts'
import { LeaseByRoster } from '../../lib/pool/lease-by-roster.ts'
import { Vacancies } from '../../lib/pool/vacancies.ts'

t.test('room that was in containers which are gone keeps nobody from room that there is', async (t) => {
  const backend = new FakeBackend({ slots: 1 })
  t.teardown(() => backend.destroy())
  await backend.grow(20)
  const { signal } = new AbortController()
  const vacancies = new Vacancies()
  const containers = new Containers(backend, undefined, (id) => vacancies.heard(id, 10))
  t.teardown(() => containers.close())
  await containers.look()
  for (const one of (await backend.list()).slice(2)) await backend.remove(one)
  const roster = (await agreeOnRoster(containers, signal)).roster as AgreedRoster
  const home = homeOf('a', roster.members)
  const other = roster.members.find((one) => one !== home)
  await home?.at?.client.lease({ taskId: 'blocks', owner: 'other', ttlMs: 60_000 })
  // Heard of last, as is what was said by a look-out.
  vacancies.heard(other?.id ?? '', 0)
  vacancies.heard(other?.id ?? '', 1)
  const way = new LeaseByRoster(roster, { taskId: 'a', owner: 'me', lifetimeMs: 60_000, metadata: {} }, signal)
  const placed = await way.take(() => {}, { vacancies, everywhere: false })
  t.equal(placed?.at.container.id, other?.id)
})
