import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { SlotpoolError } from '../../errors.ts'
import { signalProcess } from '../processes.ts'
import { groupMembers, groupsBelow, readCount, readGroupFile, tryRemove, trySet } from './group-folder.ts'
import type { Hierarchy } from './hierarchies.ts'

/** How long killed processes may take to go: one that waits for a disk cannot be ended at once. */
const patienceMs = 10_000

/**
 * How often a group of version 1 is killed before it is frozen for it, within a quarter of a second. A process that is frozen there does not die of
 * SIGKILL: were this server killed in between, as with its container, nobody would thaw it, and the container could never be removed. Only what
 * forks faster than it is killed lives so long.
 */
const killsBeforeFreezing = 8

/** How long a group may take to stand still. It does so at once, but for processes that wait for a disk: they fork nothing. */
const freezePatienceMs = 500

/**
 * Ends every process of a group and of those below it, and removes them. A removed group is the proof that nothing was left, and keeps out
 * what was still on its way in: its writing to the group's file fails.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` when some are still there after ten seconds.
 */
export async function endGroup(hierarchy: Pick<Hierarchy, 'version' | 'controllers'>, folder: string): Promise<void> {
  const giveUpAt = performance.now() + patienceMs
  for (let kills = 0, pauseMs = 1; ; kills++, pauseMs = Math.min(pauseMs * 2, 50)) {
    if (await tryRemove(folder)) return
    if (hierarchy.version === 1 && kills < killsBeforeFreezing) await killMembers(folder)
    else await killGroup(hierarchy, folder)
    if (await tryRemove(folder)) return
    if (performance.now() > giveUpAt) {
      const members = await groupMembers(folder)
      throw new SlotpoolError('JAIL_FAILED', `${members.length} processes survived SIGKILL for ${patienceMs / 1000} s`, {
        details: { processes: members.slice(0, 20) },
      })
    }
    await delay(pauseMs)
  }
}

async function killGroup({ version, controllers }: Pick<Hierarchy, 'version' | 'controllers'>, folder: string): Promise<void> {
  // All at once, and no fork gets past it: Linux 5.14 and later.
  if (version === 2 && (await trySet(join(folder, 'cgroup.kill'), 1))) return
  if (version === 1 && !controllers.has('freezer')) return killMembers(folder)
  const freezer = version === 1 ? v1Freezer : v2Freezer
  await trySet(join(folder, freezer.file), freezer.frozen)
  try {
    const giveUpAt = performance.now() + freezePatienceMs
    while (!(await freezer.stands(folder)) && performance.now() < giveUpAt) await delay(1)
    await killMembers(folder)
  } finally {
    await thaw(folder, freezer)
  }
}

interface Freezer {
  file: string
  frozen: string
  thawed: string
  /** Whether every process of a group that is to freeze has done so. */
  stands(folder: string): Promise<boolean>
}

const v1Freezer: Freezer = {
  file: 'freezer.state',
  frozen: 'FROZEN',
  thawed: 'THAWED',
  stands: async (folder) => (await readGroupFile(join(folder, 'freezer.state'))).trim() !== 'FREEZING',
}

const v2Freezer: Freezer = {
  file: 'cgroup.freeze',
  frozen: '1',
  thawed: '0',
  stands: async (folder) => (await readCount(join(folder, 'cgroup.events'), 'frozen')) === 1,
}

/** A frozen process takes its signal when it goes on. A group below may have been frozen by itself, by who was then killed. */
async function thaw(folder: string, freezer: Freezer): Promise<void> {
  await trySet(join(folder, freezer.file), freezer.thawed)
  for (const below of await groupsBelow(folder)) await thaw(below, freezer)
}

async function killMembers(folder: string): Promise<void> {
  // 0 stands for a process in another PID namespace; as an argument of kill it would be this process's own group.
  for (const pid of await groupMembers(folder)) if (pid > 1 && pid !== process.pid) signalProcess(pid, 'SIGKILL')
}
