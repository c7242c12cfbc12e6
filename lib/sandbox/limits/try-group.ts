import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { toolPath } from '../tool-path.ts'
import type { ControlGroups } from './control-groups.ts'

/** Joins the groups whose files are its arguments, says so, and waits. */
const program = 'for file; do echo 0 > "$file" || exit 1; done; echo joined; read -r'

/**
 * Runs a process in groups like a slot's, and ends it.
 *
 * @throws {Error} what did not work.
 */
export async function tryGroup(groups: Pick<ControlGroups, 'controllers' | 'slot'>): Promise<void> {
  const slot = await groups.slot(0, {})
  try {
    const execution = groups.controllers.has('kill') ? await slot.execution() : undefined
    const files = execution?.joinFiles ?? slot.joinFiles
    const child = spawn('bash', ['--norc', '--noprofile', '-c', program, 'bash', ...files], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: toolPath },
    })
    const complaint = text(child.stderr)
    const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
    child.stdin.on('error', () => {})
    const joined = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)])
    if (joined) await execution?.end()
    child.stdin.end('\n')
    await ended
    if (!joined) throw new Error(`a process could not join its control groups: ${(await complaint).trim()}`)
  } finally {
    await slot.end()
  }
}
