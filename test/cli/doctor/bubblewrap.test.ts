import { readdirSync } from 'node:fs'
import t from 'tap'
import { findProgram } from '../../../lib/backend/find-program.ts'
import { checkBubblewrap } from '../../../lib/cli/doctor/bubblewrap.ts'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { namespaceMend } from '../../../lib/cli/doctor/namespace-mend.ts'
import { trialIsolation } from '../../../lib/cli/doctor/trial-isolation.ts'
import { loadConfig } from '../../../lib/config.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'

const machine = thisMachine()
const skip =
  machine.platform !== 'linux'
    ? 'needs Linux'
    : findProgram('bwrap', machine.toolPath) === undefined
      ? 'needs bubblewrap, which is not installed'
      : (await trialIsolation('jail', 'outbound')) !== null && 'needs a machine where bubblewrap makes jails'
const config = (isolation: 'auto' | 'jail' | 'uid' | 'none') => loadConfig({ isolation }, {})

t.test('a jail is made, and nothing is left of it', { skip }, async (t) => {
  const check = await checkBubblewrap(config('auto'), machine, noAbort())
  t.match(check, { name: 'bubblewrap', found: true, version: /^\d+\.\d+\.\d+$/, mend: null })
  t.match(check.detail, /bwrap makes a jail here as .*; with TERMINAL_ISOLATION=auto local slots have isolation jail$/)
  t.same(
    readdirSync('/tmp').filter((name) => name.startsWith(`slotpool-doctor-${process.pid}-`)),
    [],
  )
})

t.test('what local slots have when less is asked for', { skip }, async (t) => {
  t.match((await checkBubblewrap(config('none'), machine, noAbort())).detail, /with TERMINAL_ISOLATION=none local slots have none$/)
  const { detail } = await checkBubblewrap(config('uid'), machine, noAbort())
  if (machine.isRoot) t.match(detail, /with TERMINAL_ISOLATION=uid local slots have isolation uid$/)
  else t.match(detail, /the local backend refuses to start \(uid: only root can give each slot a uid of its own\)$/)
})

t.test('without bubblewrap', async (t) => {
  const check = await checkBubblewrap(config('jail'), bareMachine({ platform: 'linux' }), noAbort())
  t.same(check, {
    name: 'bubblewrap',
    found: false,
    version: null,
    detail: 'no bwrap, nsenter, setpriv, bash in /nonexistent; with TERMINAL_ISOLATION=jail the local backend refuses to start',
    mend: 'apt-get install -y bubblewrap util-linux bash',
  })
})

t.test('on a machine without namespaces', async (t) => {
  const check = await checkBubblewrap(config('auto'), bareMachine({ platform: 'darwin' }), noAbort())
  t.match(check, { found: false, detail: /Linux only/, mend: null })
})

t.test('what lets ordinary users make namespaces', async (t) => {
  const user = bareMachine({ isRoot: false })
  const switches = (kernel: Record<string, string>, namespaces = '96343') =>
    t.testdir({ kernel, user: { max_user_namespaces: `${namespaces}\n` } })
  t.equal(
    await namespaceMend(user, false, switches({ unprivileged_userns_clone: '0\n' })),
    'sudo sysctl -w kernel.unprivileged_userns_clone=1',
  )
  t.equal(await namespaceMend(user, false, switches({}, '0')), 'sudo sysctl -w user.max_user_namespaces=28633')
  const ubuntu = { unprivileged_userns_clone: '1\n', apparmor_restrict_unprivileged_userns: '1\n' }
  t.equal(await namespaceMend(user, false, switches(ubuntu)), 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0')
  t.equal(await namespaceMend(user, false, switches({})), null)
  t.match(await namespaceMend(user, true, switches({})), /^docker run .*systempaths=unconfined/)
  t.match(
    await namespaceMend(bareMachine(), true, switches(ubuntu)),
    /^docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE /,
  )
})
