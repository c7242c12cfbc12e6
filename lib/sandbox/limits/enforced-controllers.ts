import { access } from 'node:fs/promises'
import { join } from 'node:path'

/** The file in which a kernel that bounds something counts what came of that; version 1, version 2. */
const countedIn: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['memory', ['memory.oom_control', 'memory.events']],
  ['pids', ['pids.events', 'pids.events']],
  ['cpu', ['cpu.stat', 'cpu.stat']],
])

/**
 * Those of a group's controllers whose limits hold. gVisor takes and returns limits like Linux and then lets forty processes
 * run where twenty may, and hundreds of mebibytes be taken where thirty may: its groups have the settings, and none of the files that count.
 */
export async function enforcedControllers(version: 1 | 2, folder: string, controllers: ReadonlySet<string>): Promise<Set<string>> {
  const enforced = new Set(controllers)
  for (const [controller, files] of countedIn) {
    const there = await access(join(folder, files[version - 1] ?? '')).then(
      () => true,
      () => false,
    )
    if (!there) enforced.delete(controller)
  }
  return enforced
}
