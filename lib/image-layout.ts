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

/** Makes a folder `tools` in the folder that it is given (`sandbox-image/copy-tools`), in a container of an image that `slotpool image build` made. */
export const copyToolsProgram = '/opt/slotpool/copy-tools'

/** Where a server that comes from outside of its container's image finds that image, and what the container was started with. */
export const taskImageRoot = '/image'
export const taskImageEnvironment = '/run/image-environment'

/**
 * How such a server is started (`sandbox-image/enter-image`).
 *
 * @param tools the folder that was made, as the container has it.
 * @param mounts those of the container that the server has in the same places, in `/run` or where `copy-tools` has made room for them.
 */
export function taskImageEntrypoint(tools: string, mounts: readonly string[]): string[] {
  const own = `${tools}/opt/slotpool`
  return [`${own}/busybox`, 'sh', `${own}/enter-image`, tools, taskImageRoot, taskImageEnvironment, ...mounts, '--']
}

/** What there is to add where a container could not start, in the engine's words `reason`: that its image has not what it was to have, if that is so. */
export function missingInImage(reason: string): string {
  const [init = ''] = serverEntrypoint
  if (reason.includes(copyToolsProgram)) {
    return '; the image has no tools: expected one that this version of `slotpool image build` made (TERMINAL_TOOLS_IMAGE)'
  }
  // An image without programs may have no names of users either.
  return reason.includes(init) || reason.includes('unable to find user root')
    ? '; the image has no sandbox server: expected one that `slotpool image build` made, or that one in TERMINAL_TOOLS_IMAGE'
    : ''
}
