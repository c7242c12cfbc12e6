import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cgroupHierarchies } from '../../../lib/cli/doctor/cgroup-hierarchies.ts'
import { checkCgroups } from '../../../lib/cli/doctor/cgroups.ts'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { bareMachine } from '../../fixtures/doctor-machine.ts'

const linux = bareMachine({ platform: 'linux' })
const skip = !existsSync('/sys/fs/cgroup/cgroup.procs') && !existsSync('/sys/fs/cgroup/pids') && 'needs mounted control groups'

t.test('those of this machine', { skip }, async (t) => {
  const check = await checkCgroups(thisMachine())
  t.match(check, { name: 'cgroups', found: true, version: /^(v1|v2|hybrid)$/, detail: /^controllers .*pids/ })
})

t.test('none mounted', async (t) => {
  const folder = t.testdir({ mountinfo: '22 1 0:20 / /proc rw - proc proc rw\n', cgroup: '0::/\n' })
  const check = await checkCgroups(linux, { mountInfo: join(folder, 'mountinfo'), ownGroups: join(folder, 'cgroup') })
  t.match(check, { found: false, version: null, mend: 'mount -t cgroup2 none /sys/fs/cgroup' })
})

const mounted = (folder: string) => `31 30 0:27 / ${join(folder, 'tree')} rw - cgroup2 cgroup2 rw\n`

t.test('version 2 in a group without controllers', async (t) => {
  const folder = t.testdir({ tree: { 'cgroup.controllers': 'cpu memory pids\n' }, cgroup: '0::/own\n' })
  const check = await seenThrough(folder)
  t.match(check, { found: true, version: 'v2', detail: 'no controllers; cpu, memory, pids missing' })
  t.equal(check.mend, `echo +cpu +memory +pids > ${folder}/tree/cgroup.subtree_control`)
})

t.test('version 2 in a group of one’s own', async (t) => {
  const folder = t.testdir({ tree: { own: { 'cgroup.controllers': 'cpu memory pids\n' } }, cgroup: '0::/own\n' })
  const check = await seenThrough(folder)
  t.match(check, { found: true, version: 'v2', detail: 'controllers cpu, memory, pids; writable by this user', mend: null })
  t.same(readdirSync(join(folder, 'tree', 'own')), ['cgroup.controllers'])
})

t.test('where each tree is mounted, and this process in it', async (t) => {
  const mountInfo = `
30 24 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
35 30 0:31 /other /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
`
  const own = '5:pids:/docker/abc\n4:memory:/docker/abc/task\n3:cpu,cpuacct:/docker/abc\n2:name=systemd:/s\n0::/../outside\n'
  t.same(cgroupHierarchies(mountInfo, own), [
    { version: 2, mountPoint: '/sys/fs/cgroup/unified', ownFolder: '/sys/fs/cgroup/unified/', controllers: [] },
    {
      version: 1,
      mountPoint: '/sys/fs/cgroup/cpu,cpuacct',
      ownFolder: '/sys/fs/cgroup/cpu,cpuacct/docker/abc',
      controllers: ['cpu', 'cpuacct'],
    },
    { version: 1, mountPoint: '/sys/fs/cgroup/memory', ownFolder: '/sys/fs/cgroup/memory/task', controllers: ['memory'] },
    { version: 1, mountPoint: '/sys/fs/cgroup/systemd', ownFolder: '/sys/fs/cgroup/systemd/s', controllers: [] },
    { version: 1, mountPoint: '/sys/fs/cgroup/pids', ownFolder: '/sys/fs/cgroup/pids/', controllers: ['pids'] },
  ])
})

/** The check of a version 2 tree that the ordinary folder `tree` stands for. */
function seenThrough(folder: string) {
  writeFileSync(join(folder, 'mountinfo'), mounted(folder))
  return checkCgroups(linux, { mountInfo: join(folder, 'mountinfo'), ownGroups: join(folder, 'cgroup') })
}
