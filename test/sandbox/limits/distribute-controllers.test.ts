import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { findHierarchies } from '../../../lib/sandbox/limits/hierarchies.ts'
import { isMachineNamespace } from '../../../lib/sandbox/limits/owned-name.ts'
import { sourceArgs } from '../../fixtures/source.ts'
import { ending, joined, nextLine } from './joined.ts'
import { skipWithoutGroups } from './opened-groups.ts'

t.setTimeout(60_000)

const unified = skipWithoutGroups ? undefined : (await findHierarchies()).find(({ version }) => version === 2)
/** Either will do: to share one out is the same for all. With the file by which each bounds a group. */
const limitFiles = { pids: 'pids.max', hugetlb: 'hugetlb.2MB.max' } as const
const controller = (['pids', 'hugetlb'] as const).find((one) => unified?.controllers.has(one))
const skip = skipWithoutGroups || (controller === undefined ? 'needs version 2 mounted, with a controller' : false)

/** A group that has the controller, as a container's or a delegated one has. */
async function delegated(t: Test): Promise<string> {
  const { mount } = unified as NonNullable<typeof unified>
  const control = join(mount, 'cgroup.subtree_control')
  const shared = (await readFile(control, 'utf8')).split(/\s+/).includes(controller as string)
  if (!shared) await writeFile(control, `+${controller}`)
  const folder = join(mount, `slotpool-test-${process.pid}`)
  await mkdir(folder)
  t.teardown(async () => {
    await rmdir(folder)
    if (!shared) await writeFile(control, `-${controller}`)
  })
  return folder
}

const server = (root: string) =>
  `exec '${process.execPath}' ${sourceArgs('test/sandbox/limits/distributing-server.ts').join(' ')} '${root}' '${controller}'`

t.test('a server alone in its group makes room, and puts everything back', { skip }, async (t) => {
  const folder = await delegated(t)
  const child = joined([join(folder, 'cgroup.procs')], server(unified?.mount ?? ''))
  const seen = JSON.parse((await nextLine(child)) ?? 'null')
  await ending(child)
  const own = `/${basename(folder)}`
  t.same(seen.before, { place: own, shared: '' })
  t.match(seen.during, { place: new RegExp(`^${own}/slotpool-[0-9-]+\\.server$`), shared: controller, controllers: [controller] })
  t.same(seen.after, seen.before)
  t.same(
    (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory()),
    [],
  )
})

for (const limited of [false, true]) {
  const becomes = limited ? 'which is limited, there is no controller to share' : 'the nearest group above gives what it shares'
  t.test(`where others are in its group nobody is moved; ${becomes}`, { skip }, async (t) => {
    const folder = await delegated(t)
    if (limited) await writeFile(join(folder, limitFiles[controller ?? 'pids']), String(2 ** 21))
    const other = joined([join(folder, 'cgroup.procs')], 'echo begun; exec sleep 1000')
    t.equal(await nextLine(other), 'begun')
    const child = joined([join(folder, 'cgroup.procs')], server(unified?.mount ?? ''))
    const seen = JSON.parse((await nextLine(child)) ?? 'null')
    await ending(child)
    t.same(seen.during, { ...seen.before, controllers: limited || !(await isMachineNamespace()) ? [] : [controller] })
    t.same(seen.after, seen.before)
    other.kill('SIGKILL')
    await ending(other)
    while ((await readFile(join(folder, 'cgroup.procs'), 'utf8')) !== '') await new Promise(setImmediate)
    t.ok(existsSync(folder))
  })
}
