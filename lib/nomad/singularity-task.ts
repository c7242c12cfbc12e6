import { serverEntrypoint } from '../image-layout.ts'
import { containerMounts } from '../pool-arguments.ts'
import { apptainerScript } from './apptainer-script.ts'
import type { PoolJob } from './job-spec.ts'

/**
 * Closes what it inherited but stdin, stdout and stderr, and becomes the program that its arguments are. Apptainer leaves an end of a pipe of its own
 * open, and the server would hand that on to every command.
 */
const closingDescriptors = 'cd /proc/$$/fd; for fd in *; do if ((fd > 2)); then eval "exec $fd>&-"; fi; done; cd /; exec "$@"'

/**
 * What Nomad's driver `raw_exec` is told, so that Apptainer runs `serverArguments` in a container. It is run as the user of the Nomad agent, and has the
 * node's network.
 */
export function singularityConfig(job: PoolJob, serverArguments: readonly string[]): Record<string, unknown> {
  return {
    command: '/bin/sh',
    args: [
      ...['-c', apptainerScript, 'sh', `\${node.unique.name}`, job.image],
      ...mountOptions(job),
      ...[job.image, 'bash', '--norc', '-c', closingDescriptors, 'bash', ...serverEntrypoint, ...serverArguments],
    ],
  }
}

/** Whether it names a SIF file, or an image that Apptainer gets from a registry. */
export function isApptainerImage(image: string): boolean {
  return isSifPath(image) || isRegistryImage(image)
}

export function isSifPath(image: string): boolean {
  return /^\/.*[^/]\.sif$/.test(image) && !image.includes('\0')
}

/** Of such an image a node makes a SIF, when its first container starts there. */
export function isRegistryImage(image: string): boolean {
  return /^docker:\/\/[\w[][^\s]*$/.test(image)
}

/** What slots see of the node, from where the sandbox server hands it on. */
function mountOptions(job: PoolJob): string[] {
  return containerMounts(job).flatMap(({ source, readOnly }, at) => {
    const fields = ['type=bind', `source=${job.mounts[at]?.host}`, `destination=${source}`, ...(readOnly ? ['ro'] : [])]
    return ['--mount', fields.map(csvField).join(',')]
  })
}

function csvField(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
