import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { engineAddress } from '../../../lib/backend/docker/engine-address.ts'
import { checkDocker } from '../../../lib/cli/doctor/docker.ts'
import { dockerMend } from '../../../lib/cli/doctor/docker-mend.ts'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

t.test('an engine that answers', { skip: await dockerSkip() }, async (t) => {
  const check = await checkDocker(thisMachine(), noAbort())
  t.match(check, { name: 'docker', found: true, version: /^\d+\./, detail: /^answers at \S+, API \d\S*, storage \w+$/, mend: null })
})

t.test('an engine that DOCKER_HOST names and that is not there', async (t) => {
  // Not in a folder of the test's own: its name may be longer than the path of a socket can be.
  const DOCKER_HOST = `unix:///tmp/${testName()}.sock`
  const check = await checkDocker(bareMachine({ env: { DOCKER_HOST } }), noAbort())
  t.same(check, {
    name: 'docker',
    found: false,
    version: null,
    detail: `Docker does not answer at ${DOCKER_HOST}, named by DOCKER_HOST: there is no such socket`,
    mend: 'unset DOCKER_HOST',
  })
})

t.test('a port where nothing listens', async (t) => {
  const check = await checkDocker(bareMachine({ env: { DOCKER_HOST: 'tcp://127.0.0.1:1' } }), noAbort())
  t.match(check, { found: false, detail: /nothing listens there$/, mend: 'unset DOCKER_HOST' })
})

t.test('an address that is none', async (t) => {
  const check = await checkDocker(bareMachine({ env: { DOCKER_HOST: 'npipe://x' } }), noAbort())
  t.match(check, { found: false, version: null, detail: /DOCKER_HOST: got "npipe:\/\/x", expected/, mend: /^unset DOCKER_HOST / })
})

t.test('what mends an engine that does not answer at the default address', async (t) => {
  const address = engineAddress({ DOCKER_CONFIG: '/nonexistent' })
  const bin = t.testdir({ dockerd: '' })
  chmodSync(join(bin, 'dockerd'), 0o755)
  const installed = bareMachine({ toolPath: bin })

  t.equal(dockerMend(address, 'ENOENT', bareMachine()), 'apt-get install -y docker.io')
  t.equal(dockerMend(address, 'ENOENT', installed), 'dockerd &')
  t.equal(dockerMend(address, 'ECONNREFUSED', { ...installed, init: 'systemd' }), 'systemctl start docker')
  t.equal(dockerMend(address, 'ECONNREFUSED', { ...installed, init: 'openrc' }), 'rc-service docker start')
  t.equal(dockerMend(address, 'ENOENT', { ...installed, isRoot: false }), "sudo sh -c 'dockerd &'")
  t.equal(dockerMend(address, 'EACCES', { ...installed, isRoot: false }), 'sudo usermod -aG docker "$USER" && newgrp docker')
})

t.test('a check that is given up', async (t) => {
  await t.rejects(checkDocker(bareMachine({ env: { DOCKER_HOST: 'tcp://127.0.0.1:1' } }), AbortSignal.abort()))
})
