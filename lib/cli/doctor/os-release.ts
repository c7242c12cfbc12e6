/** Which Linux distribution this is, from os-release(5). */
export interface OsRelease {
  /** Such as `debian`; `linux` when the file does not say. */
  id: string
  /** Distributions it is made from, closest first, such as `rhel`, `fedora`. */
  idLike: string[]
  /** Such as `12`; empty where releases have no number. */
  versionId: string
}

export const packageManagers = ['apt', 'dnf', 'apk', 'pacman', 'zypper'] as const
export type PackageManager = (typeof packageManagers)[number]

const managerOf: Readonly<Record<string, PackageManager>> = {
  debian: 'apt',
  ubuntu: 'apt',
  fedora: 'dnf',
  rhel: 'dnf',
  centos: 'dnf',
  amzn: 'dnf',
  alpine: 'apk',
  arch: 'pacman',
  archarm: 'pacman',
  suse: 'zypper',
  opensuse: 'zypper',
  'opensuse-leap': 'zypper',
  'opensuse-tumbleweed': 'zypper',
  sles: 'zypper',
}

/** Reads the text of `/etc/os-release`. Lines that are no assignment are passed over. */
export function parseOsRelease(text: string): OsRelease {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^\s*([A-Z_]+)=(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) values.set(name, value.replace(/^(["'])(.*)\1$/, '$2'))
  }
  return {
    id: values.get('ID') || 'linux',
    idLike: (values.get('ID_LIKE') ?? '').split(/\s+/).filter((word) => word !== ''),
    versionId: values.get('VERSION_ID') ?? '',
  }
}

/** What installs packages there; undefined for a distribution that neither is nor resembles a known one. */
export function packageManager({ id, idLike }: OsRelease): PackageManager | undefined {
  const name = [id, ...idLike].find((one) => Object.hasOwn(managerOf, one))
  return name === undefined ? undefined : managerOf[name]
}
