/** Node's code of an error, or of what it came from, such as `ECONNREFUSED`; our own codes are not meant. */
export function errorCode(error: unknown): string | undefined {
  for (let one: unknown = error, depth = 0; one instanceof Error && depth < 5; one = one.cause, depth++) {
    const { code } = one as NodeJS.ErrnoException
    if (typeof code === 'string' && /^E[A-Z]/.test(code)) return code
  }
  return undefined
}
