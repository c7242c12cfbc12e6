import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { SlotIdentity } from './jail.ts'

/** What a slot's user is called where it is an ordinary one. */
export const slotUser = 'agent'

/**
 * Writes a password and a group file that know the slot's user as `agent` beside the system's own entries: git, ssh, tmux and others
 * refuse to run as a user without a name. Returns the pairs [written file, place in the jail].
 */
export async function writeAccountFiles(folder: string, identity: SlotIdentity, home: string): Promise<[string, string][]> {
  const files: [string, string, string][] = [
    ['passwd', '/etc/passwd', `${slotUser}:x:${identity.uid}:${identity.gid}:slot:${home}:/bin/bash\n`],
    ['group', '/etc/group', `${slotUser}:x:${identity.gid}:\n`],
  ]
  const written: [string, string][] = []
  for (const [name, target, entry] of files) {
    if (!existsSync(target)) continue
    const others = readFileSync(target, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && line.split(':')[0] !== slotUser && Number(line.split(':')[2]) !== identity.uid)
    const file = join(folder, name)
    await writeFile(file, `${entry}${others.join('\n')}\n`, { mode: 0o644 })
    written.push([file, target])
  }
  return written
}
