import t from 'tap'
import { type Installable, installCommand } from '../../../lib/cli/doctor/install-command.ts'
import { packageManager, parseOsRelease } from '../../../lib/cli/doctor/os-release.ts'
import { bareMachine } from '../../fixtures/doctor-machine.ts'

const on = (osRelease: string, ...parts: [Installable, ...Installable[]]) =>
  installCommand(bareMachine({ osRelease: parseOsRelease(osRelease) }), ...parts)

t.test('the package manager of a distribution', async (t) => {
  const known: [string, string | undefined][] = [
    ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', 'apt'],
    ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', 'apt'],
    ['ID=fedora\nVERSION_ID=42\n', 'dnf'],
    ['ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', 'dnf'],
    ["ID='alpine'\n", 'apk'],
    ['ID=manjaro\nID_LIKE=arch\n', 'pacman'],
    ['ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', 'zypper'],
    ['ID=nixos\n', undefined],
    ['', undefined],
    ['# ID=debian\nnonsense\n', undefined],
  ]
  for (const [text, manager] of known) t.equal(packageManager(parseOsRelease(text)), manager, JSON.stringify(text))
})

t.test('bubblewrap is a package everywhere', async (t) => {
  t.equal(on('ID=debian', 'bubblewrap'), 'apt-get install -y bubblewrap')
  t.equal(on('ID=fedora', 'bubblewrap'), 'dnf install -y bubblewrap')
  t.equal(on('ID=alpine', 'bubblewrap', 'util-linux'), 'apk add bubblewrap util-linux')
  t.equal(on('ID=arch', 'bubblewrap'), 'pacman -S --noconfirm bubblewrap')
  t.equal(on('ID=opensuse-leap', 'bubblewrap'), 'zypper --non-interactive install bubblewrap')
  t.equal(on('ID=nixos', 'bubblewrap'), undefined)
})

t.test('the engine has other names here and there', async (t) => {
  t.equal(on('ID=ubuntu', 'docker'), 'apt-get install -y docker.io')
  t.equal(on('ID=fedora', 'docker'), 'dnf install -y moby-engine')
  t.equal(on('ID=amzn\nID_LIKE="fedora"', 'docker'), 'dnf install -y docker')
  t.equal(on('ID=almalinux\nID_LIKE="rhel centos fedora"', 'docker'), 'curl -fsSL https://get.docker.com | sh')
})

t.test('what is no package of the distribution comes from its makers', async (t) => {
  t.match(on('ID=debian', 'apptainer'), /^curl .*_amd64\.deb && apt-get install -y \/tmp\/apptainer_.*_amd64\.deb$/)
  t.match(on('ID=rocky\nID_LIKE="rhel"\nVERSION_ID="9.4"', 'apptainer'), /epel-release-latest-9\.noarch\.rpm && dnf install -y apptainer$/)
  t.equal(on('ID=alpine', 'apptainer'), 'apk add apptainer')
  t.match(on('ID=debian', 'nomad'), /^curl .*_linux_amd64\.zip && unzip -o \S+ nomad -d \/usr\/local\/bin$/)
  t.equal(on('ID=arch', 'nomad'), 'pacman -S --noconfirm nomad')
})

t.test('an ordinary user becomes root for all of it', async (t) => {
  const debian = bareMachine({ isRoot: false })
  t.equal(installCommand(debian, 'bubblewrap'), 'sudo apt-get install -y bubblewrap')
  t.match(installCommand(debian, 'apptainer'), /^sudo sh -c 'curl .* && apt-get install -y .*'$/)
})

t.test('nothing is advised where nothing is known', async (t) => {
  t.equal(installCommand(bareMachine({ platform: 'darwin' }), 'docker'), undefined)
  t.equal(installCommand(bareMachine({ arch: 's390x', osRelease: parseOsRelease('') }), 'nomad'), undefined)
})
