import type { Test } from 'tap'
import type { Backend, Container } from '../../../lib/backend/backend.ts'
import { otherProcess } from '../../fixtures/other-process.ts'
import { watched } from '../../fixtures/watched.ts'
import { backendOf } from './pool-under-test.ts'
import type { ContractSubject } from './subject.ts'

const live = (containers: readonly Container[]) => containers.filter((one) => one.state !== 'dead')
const ready = (containers: readonly Container[]) => containers.filter((one) => one.state === 'ready')
const ids = (containers: readonly Container[]) => containers.map((one) => one.id)

/** Containers that are removed one by one, and those who are told of what becomes of them. */
export async function changeContract(t: Test, subject: ContractSubject): Promise<void> {
  const plan = await subject.makeOptions(t, { slots: 1, min: 1, max: 4 })
  const backend = await backendOf(t, plan)
  const other = await backendOf(t, plan)
  const atIndex = async (index: number): Promise<Container> => {
    const found = ready(await backend.list()).find((one) => one.index === index)
    if (!found) throw new Error(`no container ${index} is ready`)
    return found
  }

  await t.test('of a pool that nobody made there is nothing to remove', async (t) => {
    await backend.remove({ id: 'no-such-container', index: 0, node: 'n', state: 'ready' })
    t.same(await backend.list(), [])
  })

  const told = watched(t, backend)

  await t.test('who watches is told of containers that somebody else made, until they are ready', async (t) => {
    await told.until(() => told.calls > 0)
    const made = await other.grow(3)
    const seen = await told.until((containers) => ready(containers).length === 3)
    t.same(ids(seen), ids(made))
  })

  await t.test('the highest is removed, and its place with it', async (t) => {
    const [first, second, third] = await Promise.all([atIndex(0), atIndex(1), atIndex(2)])
    await other.remove(third)
    const seen = await told.until((containers) => !ids(ready(containers)).includes(third.id))
    t.same(ids(ready(seen)), [first.id, second.id])
    t.same(ids(live(await backend.list())), [first.id, second.id])
    t.same(ids(await other.grow(2)), [first.id, second.id], 'nothing is missing')
  })

  await t.test('one that is gone can be removed again, and no other goes with it', async (t) => {
    const gone = await atIndex(1)
    const first = await atIndex(0)
    await Promise.all([backend.remove(gone), other.remove(gone)])
    await backend.remove(gone)
    t.same(ids(live(await backend.list())), [first.id])
  })

  await t.test('one that is not the highest is removed, and growing makes up for it', async (t) => {
    await other.grow(3)
    const [first, second, third] = await Promise.all([atIndex(0), atIndex(1), atIndex(2)])
    await other.remove(second)
    t.notOk(ids(ready(await backend.list())).includes(second.id))
    await told.until((containers) => !ids(ready(containers)).includes(second.id))
    const again = ready(await backend.grow(3))
    t.equal(again.length, 3)
    t.ok(ids(again).includes(first.id) && ids(again).includes(third.id), 'the others were not touched')
    t.notOk(ids(again).includes(second.id))
  })

  await t.test('one grows while another removes: neither too many nor too few, and no other is harmed', async (t) => {
    const [first, second, third] = await Promise.all([atIndex(0), atIndex(1), atIndex(2)])
    const [grown] = await Promise.all([backend.grow(4), other.remove(third)])
    t.ok(ready(grown).length >= 4, 'who asked for four has seen four')
    const left = live(await backend.list())
    t.ok(left.length <= 4, `${left.length} are left`)
    t.ok(ids(left).includes(first.id) && ids(left).includes(second.id))
    t.notOk(ids(left).includes(third.id))
    t.equal(ready(await other.grow(4)).length, 4)
    t.equal(live(await backend.list()).length, 4)
  })

  await t.test('who watches is told of one that died', async (t) => {
    const victim = await atIndex(3)
    await plan.kill(victim)
    await told.until((containers) => containers.every((one) => one.id !== victim.id || one.state === 'dead'))
    await backend.remove({ ...victim, state: 'dead' })
    const left = live(await backend.list())
    t.equal(left.length, 3)
    t.notOk(ids(left).includes(victim.id))
    t.equal(ready(await backend.grow(4)).length, 4)
  })

  await t.test('several watch, and each until it has enough', async (t) => {
    const second = watched(t, backend)
    await second.until((containers) => ready(containers).length === 4)
    await told.end()
    const before = told.calls
    await other.remove(await atIndex(3))
    await second.until((containers) => live(containers).length === 3)
    await second.end()
    t.equal(told.calls, before, 'who ended it is told no more')
  })

  await t.test('a watch that is over before it began', async (t) => {
    await backend.watch(() => t.fail('told'), AbortSignal.abort())
  })

  await t.test(
    'watching leaves nothing behind that would keep a process alive, and does not itself',
    { skip: noProcess(plan.env) },
    async (t) => {
      for (const work of ['end', 'forget'] as const) {
        t.ok(await otherProcess<number>(plan.options, plan.env ?? {}, { watch: work }), work)
      }
    },
  )

  await t.test('all of it is gone in the end', async (t) => {
    await emptied(backend)
    t.same(live(await other.list()), [])
    await backend.destroy()
    t.same(await plan.left(), [])
  })
}

async function emptied(backend: Backend): Promise<void> {
  for (;;) {
    const highest = live(await backend.list()).at(-1)
    if (!highest) return
    await backend.remove(highest)
  }
}

function noProcess(env: NodeJS.ProcessEnv | undefined): string | false {
  return env ? false : 'its containers are in this process'
}
