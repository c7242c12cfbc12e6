import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { toolPath } from '../tool-path.ts'
import { formatIpv4Range, type Ipv4Range } from './ipv4-range.ts'
import type { NetworkPlace } from './network.ts'

const tapName = 'tap0'
/** It takes milliseconds. */
const startTimeoutMs = 20_000

/** What slirp4netns can shut itself into, the most first: a filter of system calls; an empty root and no capabilities. */
export const hardenings: readonly (readonly string[])[] = [['--enable-sandbox', '--enable-seccomp'], ['--enable-sandbox'], []]

/** A running slirp4netns. It ends with the server, however that ends: it waits on a descriptor of the server's. */
export class SlirpProcess {
  readonly interfaceName = tapName
  /** Resolves when it has ended without being told to. */
  readonly ended: Promise<void>
  /** Ends it; resolves when it has ended. */
  readonly end: () => Promise<void>

  private constructor(ended: Promise<void>, end: () => Promise<void>) {
    this.ended = ended
    this.end = end
  }

  /** Resolves when the slot's interface has its address and default route. @throws {Error} with what it complained of. */
  static async start(place: NetworkPlace, range: Ipv4Range, hardening: readonly string[]): Promise<SlirpProcess> {
    // As root it shuts itself in by unmounting all that it sees in a mount namespace of its own, but makes only the root of that private: what
    // else is shared with the machine, such as Docker's folder, would lose its mounts there too. In a user namespace nothing goes back.
    const apart = process.geteuid?.() === 0 ? ['unshare', '--mount', '--propagation', 'private', '--'] : []
    const [file = '', ...before] = [...apart, 'slirp4netns']
    const child = spawn(
      file,
      [
        ...before,
        ...['--configure', '--mtu=65520', '--disable-host-loopback', `--cidr=${formatIpv4Range(range)}`, ...hardening],
        ...['--ready-fd=3', '--exit-fd=4', '--netns-type=path'],
        ...(place.userNamespaceOf === undefined ? [] : [`--userns-path=/proc/${place.userNamespaceOf}/ns/user`]),
        ...[`/proc/${place.pid}/ns/net`, tapName],
      ],
      // The first of the extra two says that it is ready; when the second closes, it ends.
      { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env: { PATH: toolPath }, cwd: '/' },
    )
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()))
    let complaint = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      // It may go on complaining for as long as the slot lives.
      if (complaint.length < 4096) complaint += chunk.toString()
    })
    child.once('error', (error) => {
      complaint = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'slirp4netns is not installed' : error.message
    })
    const ready = child.stdio[3] as Readable
    child.stdio[4]?.on('error', () => {})
    ready.on('error', () => {})
    const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs)
    const started = await Promise.race([
      new Promise<boolean>((resolve) => ready.once('data', () => resolve(true))),
      closed.then(() => false),
    ])
    clearTimeout(timer)
    if (!started) throw new Error(complaint.trim().split('\n', 1)[0] || 'slirp4netns ended without saying why')
    let told = false
    const ended = new Promise<void>((resolve) => void closed.then(() => told || resolve()))
    return new SlirpProcess(ended, async () => {
      told = true
      child.kill('SIGKILL')
      await closed
    })
  }
}
