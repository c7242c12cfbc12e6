import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import { checkApptainer } from './apptainer.ts'
import { checkBubblewrap } from './bubblewrap.ts'
import { checkCgroups } from './cgroups.ts'
import type { Check } from './check.ts'
import { checkDocker } from './docker.ts'
import { type Machine, thisMachine } from './machine.ts'
import { checkNode } from './node.ts'
import { checkNomad } from './nomad.ts'
import { checkSlirp4netns } from './slirp4netns.ts'

/** Each check is done within this: what takes longer is said to be silent. A healthy machine takes well under a second. */
const checkTimeoutMs = 10_000

/**
 * Looks at all that slotpool can use, side by side. A check that fails or takes too long says so in its own line and hides no other.
 *
 * @throws {SlotpoolError} `CANCELLED` on abort.
 */
export async function runChecks(config: Config, signal?: AbortSignal, machine: Machine = thisMachine()): Promise<Check[]> {
  const checks: readonly [string, (signal: AbortSignal) => Promise<Check>][] = [
    ['node', () => checkNode(machine)],
    ['docker', (bound) => checkDocker(machine, bound)],
    ['nomad', (bound) => checkNomad(config, machine, bound)],
    ['bubblewrap', (bound) => checkBubblewrap(config, machine, bound)],
    ['slirp4netns', (bound) => checkSlirp4netns(config, machine, bound)],
    ['apptainer', (bound) => checkApptainer(machine, bound)],
    ['cgroups', () => checkCgroups(machine)],
  ]
  const results = await Promise.all(checks.map(([name, check]) => bounded(name, check, signal)))
  if (signal?.aborted) throw new SlotpoolError('CANCELLED', 'the checks were given up', { cause: signal.reason })
  return results
}

/** The check, or what kept it from an answer. It is not waited for once its time is up, since not all that it asks can be stopped. */
async function bounded(name: string, check: (signal: AbortSignal) => Promise<Check>, signal: AbortSignal | undefined): Promise<Check> {
  const timeout = AbortSignal.timeout(checkTimeoutMs)
  const bound = signal ? AbortSignal.any([signal, timeout]) : timeout
  const failed = (detail: string): Check => ({ name, found: false, version: null, detail, mend: null })
  return new Promise((resolve) => {
    const onAbort = (): void => resolve(failed(`no answer within ${checkTimeoutMs / 1000} s`))
    if (bound.aborted) return onAbort()
    bound.addEventListener('abort', onAbort, { once: true })
    const settle = (result: Check): void => {
      bound.removeEventListener('abort', onAbort)
      resolve(result)
    }
    check(bound).then(settle, (error: unknown) => settle(failed(`could not be checked: ${SlotpoolError.from(error).message}`)))
  })
}
