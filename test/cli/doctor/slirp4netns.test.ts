import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findProgram } from '../../../lib/backend/find-program.ts'
import { installCommand } from '../../../lib/cli/doctor/install-command.ts'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { parseOsRelease } from '../../../lib/cli/doctor/os-release.ts'
import { checkSlirp4netns } from '../../../lib/cli/doctor/slirp4netns.ts'
import { tunMend } from '../../../lib/cli/doctor/tun-mend.ts'
import { loadConfig } from '../../../lib/config.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'

const machine = thisMachine()
const skip =
  machine.platform !== 'linux'
    ? 'needs Linux'
    : findProgram('slirp4netns', machine.toolPath) === undefined
      ? 'needs slirp4netns, which is not installed'
      : !existsSync('/dev/net/tun') && 'needs /dev/net/tun'
const config = (network: 'none' | 'outbound' | 'host') => loadConfig({ network }, {})

t.test('a slot gets a network of its own', { skip: skip || (!machine.isRoot && 'needs root, whom every device is open to') }, async (t) => {
  const check = await checkSlirp4netns(config('outbound'), machine, noAbort())
  t.match(check, { name: 'slirp4netns', found: true, version: /^\d+\.\d+\.\d+$/, mend: null })
  t.match(
    check.detail,
    /slirp4netns gives a slot its own way outward here as root; with TERMINAL_NETWORK=outbound local slots have network outbound$/,
  )
  t.match((await checkSlirp4netns(config('none'), machine, noAbort())).detail, /with TERMINAL_NETWORK=none local slots have network none$/)
})

t.test('without the programs', async (t) => {
  const check = await checkSlirp4netns(config('outbound'), bareMachine({ platform: 'linux', isRoot: false }), noAbort())
  t.same(check, {
    name: 'slirp4netns',
    found: false,
    version: null,
    detail: 'no slirp4netns, nft or iptables, ip, nsenter in /nonexistent; with TERMINAL_NETWORK=outbound local slots have network host',
    mend: 'sudo apt-get install -y slirp4netns nftables iproute2 util-linux',
  })
  const fedora = bareMachine({ platform: 'linux', osRelease: parseOsRelease('ID=fedora') })
  t.equal(installCommand(fedora, 'slirp4netns', 'iproute2'), 'dnf install -y slirp4netns iproute')
})

t.test('on another system', async (t) => {
  const check = await checkSlirp4netns(config('outbound'), bareMachine({ platform: 'darwin' }), noAbort())
  t.match(check, { found: false, detail: /Linux only/, mend: null })
})

t.test('what opens the device of such networks', async (t) => {
  const folder = t.testdir({ open: '', 'not-a-folder': '' })
  t.equal(await tunMend(bareMachine(), join(folder, 'open')), null)
  t.equal(await tunMend(bareMachine(), join(folder, 'missing')), 'modprobe tun')
  const closed = join(folder, 'not-a-folder', 'tun')
  t.equal(await tunMend(bareMachine({ isRoot: false }), closed), `sudo chmod 666 ${closed}`)
})
