import { readdir } from 'node:fs/promises'
import t from 'tap'
import { chooseLimits } from '../../lib/sandbox/choose-limits.ts'
import { UnisolatedJails } from '../../lib/sandbox/jail/unisolated.ts'
import { findHierarchies } from '../../lib/sandbox/limits/hierarchies.ts'
import { ownedName } from '../../lib/sandbox/limits/owned-name.ts'

/** The groups of this process, by their names. */
async function ownGroups(): Promise<string[]> {
  const name = (await ownedName()).replace(/\d+$/, '')
  const names = await Promise.all((await findHierarchies()).map(({ own }) => readdir(own).catch(() => [])))
  return names.flat().filter((one) => one.startsWith(name))
}

t.test('the isolation may still be on its way', async (t) => {
  const chosen = await chooseLimits({ asked: {}, kind: Promise.resolve(new UnisolatedJails()), slotsFolder: t.testdir() })
  t.ok(chosen.limits.openFiles)
  t.equal((await ownGroups()).length > 0, chosen.groups !== null)
  await chosen.groups?.close()
})

t.test('where none is found, its reason is passed on and no group is left', async (t) => {
  const reason = new Error('nothing isolates here')
  await t.rejects(chooseLimits({ asked: {}, kind: Promise.reject(reason), slotsFolder: t.testdir() }), reason)
  t.same(await ownGroups(), [])
})
