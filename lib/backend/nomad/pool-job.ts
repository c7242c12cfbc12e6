import type { Config } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'
import type { PoolJob } from '../../nomad/job-spec.ts'
import { isApptainerImage } from '../../nomad/singularity-task.ts'
import { packageVersion } from '../../package-root.ts'
import { placementOf } from '../../placement.ts'
import { termsOf } from '../../pool-terms.ts'
import { refuseSharedSystem } from '../task-image.ts'

/**
 * What a configuration's pool is made from, but for how many containers it has.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` for an image that the driver cannot run, whatever there is.
 */
export function poolJobOf(config: Config): Omit<PoolJob, 'count'> {
  const { pool, image, slots, isolation, network, nomad } = config
  const { driver } = nomad
  if (driver === 'singularity' && !isApptainerImage(image)) {
    const expected = 'the absolute path of a .sif file, or docker://IMAGE, for driver singularity'
    throw new SlotpoolError('CONFIG_INVALID', `TERMINAL_NOMAD_IMAGE: got ${JSON.stringify(image)}, expected ${expected}`, {
      details: { variable: 'TERMINAL_NOMAD_IMAGE', got: image, expected },
    })
  }
  if (driver === 'singularity' && config.toolsImage !== undefined) {
    const expected = 'none with driver singularity, whose images bring their own sandbox server'
    throw new SlotpoolError('CONFIG_INVALID', `TERMINAL_TOOLS_IMAGE: got ${JSON.stringify(config.toolsImage)}, expected ${expected}`, {
      details: { variable: 'TERMINAL_TOOLS_IMAGE', got: config.toolsImage, expected },
    })
  }
  refuseSharedSystem(config)
  return { pool, driver, image, slots, isolation, network, ...termsOf(config), placement: placementOf(nomad), version: packageVersion() }
}
