import { SlotpoolError } from '../errors.ts'

/**
 * Refuses what can be in no environment, before anything runs. Both ends call it, as with commands.
 *
 * @throws {SlotpoolError} `ENV_INVALID`; `details.name` is the name, and no value is ever told.
 */
export function checkEnv(env: Readonly<Record<string, string>>): void {
  if (typeof env !== 'object' || env === null || Array.isArray(env))
    throw invalid('', `got an environment that is ${kindOf(env)}, expected an object of texts`)
  for (const [name, value] of Object.entries(env)) {
    if (name === '') throw invalid(name, 'got an environment variable without a name')
    if (name.includes('=')) throw invalid(name, `got an environment variable ${JSON.stringify(name)}, expected a name without "="`)
    if (name.includes('\0')) throw invalid(name, `got an environment variable ${JSON.stringify(name)}, expected a name without a NUL byte`)
    if (!name.isWellFormed()) throw invalid(name, `got an environment variable ${JSON.stringify(name)}, expected well-formed Unicode`)
    if (typeof value !== 'string') throw invalid(name, `${name}: got a value that is ${kindOf(value)}, expected a text`)
    if (value.includes('\0')) throw invalid(name, `${name}: got a value with a NUL byte, which no environment can hold`)
    if (!value.isWellFormed())
      throw invalid(name, `${name}: got a value that is not well-formed Unicode, expected text that UTF-8 can express`)
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}

function invalid(name: string, message: string): SlotpoolError {
  return new SlotpoolError('ENV_INVALID', message, { details: { name } })
}
