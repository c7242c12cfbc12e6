import { asRoot } from './as-root.ts'
import type { Machine } from './machine.ts'
import { type PackageManager, packageManager } from './os-release.ts'

/** What doctor can tell how to install. */
export type Installable = 'bash' | 'bubblewrap' | 'util-linux' | 'slirp4netns' | 'nftables' | 'iproute2' | 'docker' | 'nomad' | 'apptainer'

const install: Readonly<Record<PackageManager, string>> = {
  apt: 'apt-get install -y',
  dnf: 'dnf install -y',
  apk: 'apk add',
  pacman: 'pacman -S --noconfirm',
  zypper: 'zypper --non-interactive install',
}

/** Packages with another name than the part. */
const packageNames: Readonly<Partial<Record<PackageManager, Partial<Record<Installable, string>>>>> = {
  apt: { docker: 'docker.io' },
  dnf: { docker: 'moby-engine', iproute2: 'iproute' },
}

const apptainerVersion = '1.4.5'
const nomadVersion = '1.10.5'

/**
 * The one command that installs the parts here; undefined where the distribution is not known, or the part is not for it. Several parts
 * at once are for those that are packages everywhere.
 */
export function installCommand(machine: Machine, ...parts: [Installable, ...Installable[]]): string | undefined {
  const manager = machine.platform === 'linux' ? packageManager(machine.osRelease) : undefined
  const [first] = parts
  const other = parts.length === 1 ? fromElsewhere(machine, manager, first) : undefined
  if (other !== undefined) return asRoot(machine, other)
  if (manager === undefined) return undefined
  const packages = parts.map((part) => packageNames[manager]?.[part] ?? part)
  return asRoot(machine, `${install[manager]} ${packages.join(' ')}`)
}

/** The command for what the distribution does not package itself. */
function fromElsewhere(machine: Machine, manager: PackageManager | undefined, part: Installable): string | undefined {
  const { id, idLike, versionId } = machine.osRelease
  const rebuildsRedHat = id !== 'fedora' && id !== 'amzn' && [id, ...idLike].includes('rhel')
  const architecture = { x64: 'amd64', arm64: 'arm64' }[machine.arch]
  // Docker is in Fedora and in Amazon Linux, not in the rebuilds of Red Hat's.
  if (part === 'docker' && id === 'amzn') return 'dnf install -y docker'
  if (part === 'docker' && (manager === undefined || rebuildsRedHat)) {
    return machine.platform === 'linux' ? 'curl -fsSL https://get.docker.com | sh' : undefined
  }
  // Debian and Ubuntu have Apptainer in no release yet; its makers publish packages.
  if (part === 'apptainer' && manager === 'apt' && architecture !== undefined) {
    const file = `apptainer_${apptainerVersion}_${architecture}.deb`
    const url = `https://github.com/apptainer/apptainer/releases/download/v${apptainerVersion}/${file}`
    return `curl -fsSLo /tmp/${file} ${url} && apt-get install -y /tmp/${file}`
  }
  if (part === 'apptainer' && rebuildsRedHat) {
    const epel = `https://dl.fedoraproject.org/pub/epel/epel-release-latest-${versionId.split('.')[0]}.noarch.rpm`
    return `dnf install -y ${epel} && dnf install -y apptainer`
  }
  // Nomad is one file; only Alpine and Arch package it.
  if (part === 'nomad' && manager !== 'apk' && manager !== 'pacman' && machine.platform === 'linux' && architecture !== undefined) {
    const file = `nomad_${nomadVersion}_linux_${architecture}.zip`
    const url = `https://releases.hashicorp.com/nomad/${nomadVersion}/${file}`
    return `curl -fsSLo /tmp/${file} ${url} && unzip -o /tmp/${file} nomad -d /usr/local/bin`
  }
  return undefined
}
