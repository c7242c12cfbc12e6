/**
 * The program and arguments that run `prelude`, which is bash, and then become the given program in the same process. What the prelude
 * says goes to the program's stderr; when it fails the program is not run, and the exit code is 125.
 */
export function withPrelude(prelude: string, program: { file: string; args: string[] }): { file: string; args: string[] } {
  if (prelude === '') return program
  const script = 'eval "$1" || exit 125; shift; exec "$@"'
  return { file: 'bash', args: ['--norc', '--noprofile', '-c', script, 'slotpool', prelude, program.file, ...program.args] }
}
