import { dirname } from 'node:path/posix'
import type { IsolationLevel, NetworkLevel, RootKind } from '../wire/lease.ts'
import { limitsText } from './limits-text.ts'
import type { SlotView } from './slot-view.ts'

const isolations: Record<IsolationLevel, string> = {
  jail: 'You work in an isolated Linux sandbox of your own',
  uid: 'You work in folders of your own on a Linux machine that others share',
  none: 'You work on a Linux machine itself, without isolation: what you change outside of your folders stays',
}

const roots: Record<RootKind, string> = {
  'copy-on-write':
    'The filesystem is yours: install packages and change any file of the system; none of it outlives the task, and nobody else sees it.',
  'read-only': 'The system is read-only: write to the folders above only, and install what you need into them.',
  shared: 'The system is shared with others: write to the folders above only.',
}

const networks: Record<NetworkLevel, string> = {
  none: 'Network: none but your own localhost.',
  outbound: 'Network: outward only, to public addresses; localhost is your own, and nobody reaches you from outside.',
  host: 'Network: that of the machine you are on; ports are shared with others.',
}

/** A slot's view in a few lines for a model's system prompt. */
export function describeView(view: SlotView): string {
  const { workspace, home, tmp, shell, binFolders, user, mounts } = view
  const limits = limitsText(view.limits)
  return [
    `${isolations[view.isolation]}, as user ${user}.`,
    `- Folders: ${workspace} is your workspace, where commands start; home is ${home}, temporary files go to ${tmp}. They are deleted when the task ends.`,
    `- ${roots[view.root]}`,
    `- Programs are found in ${binFolders.join(', ')}.`,
    // Scripts that ask for bash would not find it.
    ...(binFolders.includes(dirname(shell)) ? [] : [`- Commands are run by ${shell}; there is no other bash.`]),
    `- ${networks[view.network]}`,
    ...(limits === '' ? [] : [`- Limits: ${limits}.`]),
    ...mounts.map(
      ({ target, readOnly, description }) =>
        `- Mounted at ${target}, ${readOnly ? 'read-only' : 'writable, and it stays when the task ends'}${description === null ? '.' : `: ${description}`}`,
    ),
  ].join('\n')
}
