/**
 * The arguments that start a program with exactly `env`. The variables reach the program only: the tools that enter the jail run on the
 * server's side and with its rights, and one like LD_PRELOAD would be theirs too.
 */
export function cleanEnvironment(env: Readonly<Record<string, string>>): string[] {
  return ['env', '-i', '--', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
}
