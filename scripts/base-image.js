// Makes slotpool/base:<release>, a small Debian image with Node, for a machine that reaches no image registry:
//
//   node scripts/base-image.js [--node FILE]
//
// Debian comes from this machine's own apt sources by mmdebstrap (as root), Node is the binary that runs this script, or FILE.
// The image carries a key of all that went into it; when it is there already with the same key, nothing is done.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import Docker from 'dockerode'

/** Part of the key: goes up when the recipe below changes in a way that the rest of the key does not show. */
const recipe = 2
/** What a Node binary needs beside Debian's minimum, and what fetching anything by https needs. */
const packages = ['ca-certificates', 'libatomic1', 'libstdc++6']
const keyLabel = 'slotpool.base.key'

const { values } = parseArgs({ options: { node: { type: 'string' } } })
const nodeBinary = realpathSync(values.node ?? process.execPath)
const suite = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
if (suite === undefined) throw new Error('/etc/os-release names no VERSION_CODENAME; expected a Debian machine')

const sources = aptSources(suite)
const aptOptions = aptSettings()
const key = contentKey()
const tag = `slotpool/base:${suite}`
const docker = new Docker()

if ((await labelsOf(tag))?.[keyLabel] === key) {
  process.stderr.write(`${tag} is up to date\n`)
} else {
  if (process.getuid() !== 0) throw new Error('got an ordinary user, expected root: mmdebstrap makes device files and owners of files')
  const folder = mkdtempSync(join(tmpdir(), 'slotpool-base-'))
  try {
    const tar = join(folder, 'root.tar')
    bootstrap(tar)
    await importTar(tar)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  process.stderr.write(`${tag} is made\n`)
}

/** Debian's own source files of this machine. Those of others would need keys that the new root lacks. */
function aptSources(release) {
  const folder = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list']
  if (existsSync(folder)) {
    for (const name of readdirSync(folder).sort()) if (/\.(list|sources)$/.test(name)) files.push(join(folder, name))
  }
  const isDebian = (file) => {
    const text = readFileSync(file, 'utf8').replace(/^\s*#.*$/gm, '')
    return text.includes(release) && /\bmain\b/.test(text) && (!text.includes('igned-') || text.includes('debian-archive-keyring'))
  }
  const found = files.filter((file) => existsSync(file) && isDebian(file))
  if (found.length === 0) throw new Error(`no apt source of ${release} found in /etc/apt; expected one with the component main`)
  return found
}

/** What this machine needs to trust its mirror, such as a frozen one whose lists are past their date. */
function aptSettings() {
  const dump = execFileSync('apt-config', ['dump'], { encoding: 'utf8' })
  return dump.split('\n').filter((line) => /^Acquire::Check-(Date|Valid-Until) /.test(line))
}

function contentKey() {
  const hash = createHash('sha256')
  hash.update(JSON.stringify([recipe, suite, packages, aptOptions, sources.map((file) => readFileSync(file, 'utf8'))]))
  hash.update(readFileSync(nodeBinary))
  return hash.digest('hex')
}

async function labelsOf(name) {
  try {
    return (await docker.getImage(name).inspect()).Config.Labels ?? {}
  } catch (error) {
    if (error.statusCode === 404) return undefined
    throw error
  }
}

function bootstrap(tar) {
  const args = ['--variant=minbase', `--include=${packages.join(',')}`]
  // As the slim images have it: no translations of package lists, no manuals.
  args.push('--aptopt=Acquire::Languages "none"', '--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/locale/*')
  args.push('--dpkgopt=path-exclude=/usr/share/doc/*', '--dpkgopt=path-include=/usr/share/doc/*/copyright')
  args.push(...aptOptions.map((line) => `--aptopt=${line}`))
  args.push('--customize-hook=install -m 0755 "$SLOTPOOL_NODE" "$1/usr/local/bin/node"')
  // A node that is split over shared libraries of its distribution fails here, and not in the first container.
  args.push('--customize-hook=chroot "$1" /usr/local/bin/node --version >&2')
  args.push(suite, tar, ...sources)
  execFileSync('mmdebstrap', args, { stdio: ['ignore', 2, 2], env: { ...process.env, SLOTPOOL_NODE: nodeBinary } })
}

async function importTar(tar) {
  const colon = tag.indexOf(':')
  const progress = await docker.importImage(createReadStream(tar), {
    repo: tag.slice(0, colon),
    tag: tag.slice(colon + 1),
    changes: [`LABEL ${keyLabel}=${key}`, 'CMD ["bash"]'],
  })
  await pipeline(progress, async (chunks) => {
    let text = ''
    for await (const chunk of chunks) text += chunk
    const failed = text.split('\n').find((line) => line.includes('"error"'))
    if (failed !== undefined) throw new Error(`docker could not import ${tag}: ${failed}`)
  })
}
