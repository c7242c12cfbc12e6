/** The command line cannot be followed; the message says why. */
export class UsageError extends Error {}

/** The value of an option that is a whole number. @throws {UsageError} */
export function wholeNumber(option: string, text: string | undefined, min: number): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,10}$/.test(text) && Number(text) >= min) return Number(text)
  throw new UsageError(`--${option}: got ${text}, expected a whole number, at least ${min}`)
}
