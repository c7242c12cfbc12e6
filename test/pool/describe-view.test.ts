import t from 'tap'
import { describeView } from '../../lib/pool/describe-view.ts'
import type { SlotView } from '../../lib/pool/slot-view.ts'
import { noLimits } from '../../lib/wire/limits.ts'

const view: SlotView = {
  workspace: '/workspace',
  home: '/root',
  tmp: '/tmp',
  shell: '/bin/bash',
  binFolders: ['/usr/bin', '/bin'],
  user: 'root',
  isolation: 'jail',
  root: 'copy-on-write',
  network: 'outbound',
  limits: { ...noLimits, memoryBytes: { value: 1.5 * 2 ** 30, by: 'cgroup' }, openFiles: { value: 1024, by: 'rlimit' } },
  mounts: [
    { target: '/data', readOnly: true, description: 'the training set' },
    { target: '/out', readOnly: false, description: null },
  ],
}

t.test('a slot of its own', async (t) => {
  t.equal(
    describeView(view),
    `You work in an isolated Linux sandbox of your own, as user root.
- Folders: /workspace is your workspace, where commands start; home is /root, temporary files go to /tmp. They are deleted when the task ends.
- The filesystem is yours: install packages and change any file of the system; none of it outlives the task, and nobody else sees it.
- Programs are found in /usr/bin, /bin.
- Network: outward only, to public addresses; localhost is your own, and nobody reaches you from outside.
- Limits: memory 1.5 GiB, 1024 open files.
- Mounted at /data, read-only: the training set
- Mounted at /out, writable, and it stays when the task ends.`,
  )
})

t.test('a bash that the image does not have', async (t) => {
  t.notMatch(describeView(view), 'bash')
  t.match(
    describeView({ ...view, shell: '/run/slotpool/bin/bash' }),
    '\n- Commands are run by /run/slotpool/bin/bash; there is no other bash.\n',
  )
})

t.test('less than that is said', async (t) => {
  const poor = describeView({ ...view, isolation: 'none', root: 'shared', network: 'host', limits: noLimits, mounts: [], user: 'agent' })
  t.match(poor, /^You work on a Linux machine itself, without isolation: .*, as user agent\.\n/)
  t.match(poor, /\n- The system is shared with others: write to the folders above only\.\n/)
  t.match(poor, /\n- Network: that of the machine/)
  t.notMatch(poor, /Limits|Mounted/)
  t.match(describeView({ ...view, root: 'read-only', network: 'none' }), /The system is read-only.*Network: none but your own localhost/s)
})
