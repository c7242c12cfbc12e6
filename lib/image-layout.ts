/**
 * How a container's server is started in an image that `slotpool image build` made (`sandbox-image/Dockerfile`). tini reaps what is
 * orphaned in the container: a jail does not end before its last zombie is gone.
 */
export const serverEntrypoint: readonly string[] = ['/usr/bin/tini', '--', 'node', '/opt/slotpool/sandbox-server.js']

/**
 * What the server of a container needs beside Docker's default capabilities to make jails: mounts and namespaces (SYS_ADMIN), a network of
 * a slot's own (NET_ADMIN), and to see which processes are whose (SYS_PTRACE: /proc/PID/ns and /proc/PID/environ of other users). Slots
 * get none of these.
 */
export const jailCapabilities: readonly string[] = ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE']
