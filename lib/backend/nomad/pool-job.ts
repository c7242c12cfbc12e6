import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { PoolJob } from '../../nomad/job-spec.ts'
import { packageRoot } from '../../package-root.ts'
import { placementOf } from '../../placement.ts'
import { termsOf } from '../../pool-terms.ts'
import { refuseSharedSystem } from '../task-image.ts'

/** What a configuration's pool is made from, but for how many containers it has. @throws {SlotpoolError} `CONFIG_INVALID` for driver `singularity`. */
export function poolJobOf(config: Config): Omit<PoolJob, 'count'> {
  const { pool, image, slots, isolation, network, nomad } = config
  if (nomad.driver !== 'docker') {
    throw new SlotpoolError(
      'CONFIG_INVALID',
      `TERMINAL_NOMAD_DRIVER: got "${nomad.driver}", expected docker; singularity is not there yet`,
      {
        details: { variable: 'TERMINAL_NOMAD_DRIVER', got: nomad.driver, expected: 'docker' },
      },
    )
  }
  refuseSharedSystem(config)
  return { pool, image, slots, isolation, network, ...termsOf(config), placement: placementOf(nomad), version: packageVersion() }
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }
  return version
}
