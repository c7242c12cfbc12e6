import type { Test } from 'tap'
import { ControlGroups } from '../../../lib/sandbox/limits/control-groups.ts'

/** Why tests that need control groups are skipped, or false. */
export const skipWithoutGroups = process.geteuid?.() === 0 ? false : 'only root may make control groups here'

/** Control groups that are closed when the test is over. */
export async function openedGroups(t: Test, root?: string): Promise<ControlGroups> {
  const opened = await ControlGroups.open(root === undefined ? {} : { root })
  if ('reason' in opened) throw new Error(opened.reason)
  t.teardown(() => opened.groups.close())
  return opened.groups
}
