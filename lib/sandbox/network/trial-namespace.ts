import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { toolPath } from '../tool-path.ts'
import type { NetworkPlace } from './network.ts'

/** What a jail would be made around: a new network namespace, with one process that ends when its input does. */
export class TrialNamespace {
  readonly place: NetworkPlace
  readonly #end: () => Promise<void>

  private constructor(place: NetworkPlace, end: () => Promise<void>) {
    this.place = place
    this.#end = end
  }

  /** @throws {Error} with why no namespace could be made. */
  static async make(): Promise<TrialNamespace> {
    const asRoot = process.geteuid?.() === 0
    const namespaces = ['--net', ...(asRoot ? [] : ['--user', '--map-root-user'])]
    const child = spawn('unshare', [...namespaces, '--', 'bash', '--norc', '-c', 'echo ready; read -r'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: toolPath },
    })
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()))
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    child.stdin.on('error', () => {})
    const ready = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
    if (!ready || child.pid === undefined) throw new Error(complaint.trim() || 'no network namespace could be made')
    return new TrialNamespace({ slot: 0, pid: child.pid, ...(asRoot ? {} : { userNamespaceOf: child.pid }) }, async () => {
      child.stdin.end()
      await ended
    })
  }

  end(): Promise<void> {
    return this.#end()
  }
}
