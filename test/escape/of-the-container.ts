/**
 * What hangs on how a container is started: its capabilities, mounts, devices, network and secrets. The rest hangs on the server in it, with which
 * local.test.ts tries everything. With `SLOTPOOL_ESCAPE` set, even to nothing, all of it is tried in containers, too.
 */
const ofTheContainer = [
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

/** The names of the attempts that are made in a container; undefined for all. */
export const attemptsInContainer = process.env.SLOTPOOL_ESCAPE === undefined ? ofTheContainer : undefined
