/**
 * Which attempts are made where the server is the one with which local.test.ts, as root, tries everything. With `SLOTPOOL_ESCAPE` set, even to
 * nothing, all of them are made everywhere.
 */
const all = process.env.SLOTPOOL_ESCAPE !== undefined

/** What hangs on how a container or a slot is started: its capabilities, mounts, devices, network and secrets. */
const ofTheStart = [
  'devices',
  'files-of-the-machine',
  'ipc',
  'kernel-surface',
  'mknod',
  'mount',
  'namespaces',
  'network',
  'proc-for-writing',
  'rights',
  'server-secrets',
]

/** What one uid for all slots and their server could not keep apart by itself. */
const ofOneUser = [
  'enter',
  'kill-all',
  'list-neighbour',
  'proc-of-others',
  'read-neighbour-files',
  'signal-neighbour',
  'trace-neighbour',
  'write-neighbour-files',
]

/** What a job of Nomad's says of a container by itself; all else is as Docker's. */
const ofTheJob = ['devices', 'files-of-the-machine', 'mknod', 'mount', 'rights', 'server-secrets']

/** By the names of their files; undefined for all. */
export const attemptsInContainer = all ? undefined : ofTheStart
export const attemptsWithNomad = all ? undefined : ofTheJob
export const attemptsOfOrdinaryUser = all ? undefined : [...ofTheStart, ...ofOneUser]
