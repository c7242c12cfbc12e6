import { randomUUID } from 'node:crypto'

/**
 * The command that starts `command` in the background and says where it went: in a session of its own, its output in a file, so that
 * nothing of it waits for the caller. It ends with the lease, or by `kill`.
 */
export function backgroundCommand(command: string): string {
  const log = `"\${TMPDIR:-/tmp}/background-${randomUUID().slice(0, 8)}.log"`
  return (
    `log=${log}; setsid bash -c ${quote(command)} > "$log" 2>&1 < /dev/null & ` +
    'echo "Started in the background with process id $!. Its output goes to $log; end it with: kill -- -$!"'
  )
}

/** As one word for bash, whatever is in it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
