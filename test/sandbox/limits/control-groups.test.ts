import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../../lib/package-root.ts'
import { ControlGroups } from '../../../lib/sandbox/limits/control-groups.ts'
import { groupParent } from '../../../lib/sandbox/limits/group-parent.ts'
import { findHierarchies } from '../../../lib/sandbox/limits/hierarchies.ts'
import { isMachineNamespace, ownedName } from '../../../lib/sandbox/limits/owned-name.ts'
import { processStat } from '../../../lib/sandbox/processes.ts'
import { sourceArgs } from '../../fixtures/source.ts'
import { nextLine } from './joined.ts'
import { openedGroups, skipWithoutGroups } from './opened-groups.ts'

t.setTimeout(60_000)

const skip = skipWithoutGroups
const hierarchies = skip ? [] : await findHierarchies()
const unified = hierarchies.find(({ version }) => version === 2)?.mount

/** All groups that this process has, in every hierarchy. */
async function ownGroups(): Promise<string[]> {
  const mine = (await ownedName()).split('-').slice(0, 4).join('-')
  const places = await Promise.all(hierarchies.map((one) => (one.version === 2 ? groupParent(one, ['memory', 'pids', 'cpu']) : one.own)))
  const names = await Promise.all(places.map(async (place) => (await readdir(place)).map((name) => join(place, name))))
  return names.flat().filter((name) => name.includes(`/${mine}-`))
}

t.test('nothing remains once they are closed', { skip }, async (t) => {
  const groups = await openedGroups(t)
  t.ok(groups.controllers.has('kill'))
  const slots = await Promise.all([0, 1].map((number) => groups.slot(number, { processes: 100, memoryBytes: 2 ** 26, cpuWeight: 200 })))
  t.ok((await ownGroups()).length > 0)
  await (await slots[0]?.execution())?.leave()
  await groups.close()
  t.same(await ownGroups(), [])
})

t.test('where nothing is mounted there are none, and it is said', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-groups-'))
  t.teardown(() => rm(folder, { recursive: true }))
  t.same(await ControlGroups.open({ root: folder }), { reason: 'no hierarchy of control groups is mounted' })
})

for (const [version, root] of [
  ['version 1', undefined],
  ['version 2', unified],
] as const) {
  const lacking = version === 'version 2' && root === undefined ? 'needs version 2 mounted' : false
  t.test(
    `${version}: what a killed server left is removed by the next, that of a living one is not`,
    { skip: skip || lacking },
    async (t) => {
      const servers = await Promise.all([abandoned(root), abandoned(root)])
      const [killed, living] = servers as [Abandoned, Abandoned]
      t.teardown(async () => {
        for (const { child } of servers) {
          child.kill('SIGKILL')
          if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
        }
        await openedGroups(t, root)
      })
      killed.child.kill('SIGKILL')
      await once(killed.child, 'exit')
      t.ok(killed.files.every(existsSync))
      t.equal(killed.pids.length, 2)
      await openedGroups(t, root)
      t.notOk(killed.files.some(existsSync))
      for (const pid of killed.pids) t.match((await processStat(pid))?.state ?? 'X', /[ZX]/, 'what ran in them has ended')
      t.ok(living.files.every(existsSync))
      for (const pid of living.pids) t.match((await processStat(pid))?.state, /[SR]/)
    },
  )
}

t.test('groups of somebody else are left alone, those of a PID namespace that is gone are not', { skip }, async (t) => {
  const own = hierarchies.find(({ controllers }) => controllers.has('pids'))?.own ?? hierarchies[0]?.own ?? ''
  const other = spawn(
    'unshare',
    ['--pid', '--fork', '--kill-child', 'bash', '-c', 'readlink /proc/self/ns/pid_for_children; exec sleep 1000'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  const number = /\d+/.exec((await nextLine(other)) ?? '')?.[0]
  const living = join(own, `slotpool-${number}-1-1-0`)
  const [gone, foreign] = [join(own, 'slotpool-1-1-1-0'), join(own, 'slotpool-test-others')]
  for (const folder of [living, gone, foreign]) {
    await mkdir(folder)
    t.teardown(() => rmdir(folder).catch(() => {}))
  }
  await openedGroups(t)
  t.ok(existsSync(living))
  t.ok(existsSync(foreign))
  t.equal(existsSync(gone), !(await isMachineNamespace()))
  other.kill('SIGKILL')
  await once(other, 'exit')
})

interface Abandoned {
  child: ReturnType<typeof spawn>
  files: string[]
  pids: number[]
}

async function abandoned(root: string | undefined): Promise<Abandoned> {
  const child = spawn(process.execPath, [...sourceArgs('test/sandbox/limits/abandoned-server.ts'), ...(root === undefined ? [] : [root])], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: packageRoot(),
  })
  const line = await nextLine(child)
  if (line === undefined) throw new Error('the other server ended')
  return { child, ...(JSON.parse(line) as { files: string[]; pids: number[] }) }
}
