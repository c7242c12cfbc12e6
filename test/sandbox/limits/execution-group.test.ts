import { existsSync, watch } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { findHierarchies } from '../../../lib/sandbox/limits/hierarchies.ts'
import { ending, joined, nextLine } from './joined.ts'
import { openedGroups, skipWithoutGroups } from './opened-groups.ts'
import { persistent } from './programs.ts'

t.setTimeout(60_000)

/** Each version's own way of ending a group, where this machine has that version mounted. */
const hierarchies = skipWithoutGroups ? [] : await findHierarchies()
const roots = new Map<string, { root: string | undefined; skip: string | false }>([
  ['version 1', { root: undefined, skip: hierarchies.some(({ controllers }) => controllers.has('freezer')) ? false : 'needs a freezer' }],
  ['version 2', { root: hierarchies.find(({ version }) => version === 2)?.mount, skip: false }],
])

for (const [version, { root, skip: lacking }] of roots) {
  const skip = skipWithoutGroups || lacking || (version === 'version 2' && root === undefined ? 'needs version 2 mounted' : false)
  t.test(version, { skip }, async (t) => {
    for (const [what, { script, least }] of Object.entries(persistent)) {
      t.test(`${what} ends with its execution, its neighbour lives`, async (t) => {
        const groups = await openedGroups(t, root)
        const slot = await groups.slot(0, { processes: 200 })
        const [execution, other] = [await slot.execution(), await slot.execution()]
        const child = joined(execution.joinFiles, script)
        const neighbour = joined(other.joinFiles, 'echo begun; sleep 1000')
        t.equal(await nextLine(child), 'begun')
        t.equal(await nextLine(neighbour), 'begun')
        t.ok((await execution.members()).length >= least, 'they are in the group')
        await execution.end()
        t.same(await execution.members(), [])
        t.notOk(existsSync(folderOf(execution.joinFiles)), 'the group is gone')
        t.same(await ending(child), { exitCode: null, signal: 'SIGKILL' })
        t.same(await other.members(), await slot.members(), 'only the neighbour is left')
        t.same(await other.members(), [neighbour.pid])
        await slot.end()
        t.same(await ending(neighbour), { exitCode: null, signal: 'SIGKILL' })
        t.notOk(existsSync(folderOf(slot.joinFiles)))
      })
    }

    t.test('what does not fork away from its end is never frozen for it: it would outlive a server that is killed meanwhile', async (t) => {
      const execution = await (await (await openedGroups(t, root)).slot(0, {})).execution()
      const child = joined(execution.joinFiles, 'sleep 1000 & sleep 1000 & echo begun; wait')
      t.equal(await nextLine(child), 'begun')
      const state = join(folderOf(execution.joinFiles), version === 'version 1' ? 'freezer.state' : 'cgroup.freeze')
      let writes = 0
      const watcher = watch(state, (event) => {
        if (event === 'change') writes++
      })
      t.teardown(() => watcher.close())
      if (version === 'version 1') {
        await writeFile(state, 'THAWED')
        while (writes === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      const before = writes
      await execution.end()
      t.same(await ending(child), { exitCode: null, signal: 'SIGKILL' })
      t.equal(writes, before)
    })

    t.test('who has yet to join is kept out', async (t) => {
      const execution = await (await (await openedGroups(t, root)).slot(0, {})).execution()
      await execution.end()
      t.same(await ending(joined(execution.joinFiles, 'echo begun')), { exitCode: 99, signal: null })
      await execution.end()
    })

    t.test('who joins again and again while the group is ended', async (t: Test) => {
      const execution = await (await (await openedGroups(t, root)).slot(0, {})).execution()
      const children = Array.from({ length: 8 }, () => joined(execution.joinFiles, 'sleep 1000'))
      await execution.end()
      for (const child of children) {
        const { exitCode, signal } = await ending(child)
        t.ok(signal === 'SIGKILL' || exitCode === 99, 'either it got in and was killed, or it was kept out')
      }
    })

    t.test('what a command leaves lives on; its group goes once that has ended', async (t) => {
      const slot = await (await openedGroups(t, root)).slot(0, {})
      const execution = await slot.execution()
      const child = joined(execution.joinFiles, 'sleep 1000 > /dev/null & echo $!')
      const pid = Number(await nextLine(child))
      t.same(await ending(child), { exitCode: 0, signal: null })
      await execution.leave()
      t.same(await execution.members(), [pid])
      t.same(await slot.members(), [pid])
      process.kill(pid, 'SIGKILL')
      while ((await execution.members()).length > 0) await new Promise(setImmediate)
      // Looked at by the way, when there is something else to do.
      while (existsSync(folderOf(execution.joinFiles))) await (await slot.execution()).leave()
      t.pass('the group is gone')
    })

    t.test('the end of a slot takes what its executions left', async (t) => {
      const slot = await (await openedGroups(t, root)).slot(0, {})
      const execution = await slot.execution()
      const child = joined(execution.joinFiles, 'setsid --fork sleep 1000 > /dev/null; echo begun')
      t.equal(await nextLine(child), 'begun')
      await ending(child)
      await execution.leave()
      t.equal((await slot.members()).length, 1)
      await Promise.all([slot.end(), slot.end(), execution.end()])
      t.same(await slot.members(), [])
      await t.rejects(slot.execution(), { code: 'JAIL_FAILED' })
    })
  })
}

function folderOf(files: readonly string[]): string {
  return dirname(files[0] ?? '')
}
