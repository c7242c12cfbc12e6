import t from 'tap'
import { withDockerImage } from '../../../lib/backend/docker/with-docker-image.ts'
import { defaultImage, loadConfig } from '../../../lib/config.ts'

t.test('an image of driver singularity where Docker takes the place of Nomad', async (t) => {
  const of = (image?: string, env = 'nomad' as 'nomad' | 'docker') =>
    withDockerImage(loadConfig({ env, nomad: { driver: 'singularity' }, ...(image && { image }) }, {})).image
  t.equal(of(), defaultImage)
  t.equal(of('docker://registry.example/a:1'), 'registry.example/a:1')
  t.equal(of('a:1', 'docker'), 'a:1', 'it was asked for there')
  const expected = /^TERMINAL_NOMAD_IMAGE: got "\/images\/a\.sif", expected an image of Docker, since no Nomad agent answers/
  t.throws(() => of('/images/a.sif'), { code: 'CONFIG_INVALID', message: expected })
})
