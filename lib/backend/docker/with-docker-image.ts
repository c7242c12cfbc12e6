import { type Config, defaultImage } from '../../config.ts'
import { SlotpoolError } from '../../errors.ts'

/**
 * A configuration whose pool goes to Docker for want of a Nomad agent, with an image that Docker can have: that of driver `singularity` may be none.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` for a SIF that somebody asked for.
 */
export function withDockerImage(config: Config): Config {
  const { env, image, nomad } = config
  if (env === 'docker' || nomad.driver !== 'singularity') return config
  if (!config.given.has('image')) return { ...config, image: defaultImage }
  const registry = /^docker:\/\//
  if (registry.test(image)) return { ...config, image: image.replace(registry, '') }
  const expected = 'an image of Docker, since no Nomad agent answers; or TERMINAL_NOMAD_FALLBACK=none'
  throw new SlotpoolError('CONFIG_INVALID', `TERMINAL_NOMAD_IMAGE: got ${JSON.stringify(image)}, expected ${expected}`, {
    details: { variable: 'TERMINAL_NOMAD_IMAGE', got: image, expected },
  })
}
