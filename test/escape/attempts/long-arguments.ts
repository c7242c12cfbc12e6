import { SlotpoolError } from '../../../lib/errors.ts'
import type { Attempt } from '../attempt.ts'

/** Gives the server more than it can hand to a program, or than it should hold: the command is refused, and everything goes on. */
export const attempts: Attempt[] = [
  {
    name: 'commands and variables beyond what the kernel takes',
    escape: async ({ attacker }) => {
      const long = 'x'.repeat(200_000)
      const tries = [
        () => attacker.exec(`: ${'y'.repeat(3_000_000)}`),
        () => attacker.exec('true', { env: { LONG: long.repeat(20) } }),
        () => attacker.exec('true', { env: Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`V${n}`, long])) }),
        () => attacker.exec('true', { cwd: `/${'d/'.repeat(5000)}` }),
        () => attacker.files.read('d/'.repeat(5000)),
      ]
      for (const one of tries) {
        const error = await one().catch((thrown: unknown) => thrown)
        if (error instanceof Error && !(error instanceof SlotpoolError)) throw error
        if (error instanceof SlotpoolError && /^(INTERNAL|JAIL_FAILED|LEASE_LOST|SERVER_UNREACHABLE)$/.test(error.code))
          return `${error.code}: ${error.message.slice(0, 200)}`
      }
      const { stdout } = await attacker.exec('echo well')
      return stdout === 'well\n' ? null : 'the slot does not work any more'
    },
    // A program that is given them as they are is not even started.
    control: async ({ beside }) =>
      beside
        .run(`true ${'y'.repeat(3_000_000)}`)
        .then(() => null)
        .catch((error: Error) => `it fails: ${error.message.slice(0, 80)}`),
  },
]
