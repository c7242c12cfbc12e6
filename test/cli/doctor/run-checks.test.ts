import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { checkNode } from '../../../lib/cli/doctor/node.ts'
import { renderChecks } from '../../../lib/cli/doctor/render.ts'
import { runChecks } from '../../../lib/cli/doctor/run-checks.ts'
import { loadConfig } from '../../../lib/config.ts'
import { bareMachine } from '../../fixtures/doctor-machine.ts'
import { deadAddress } from '../../fixtures/fake-nomad.ts'

const names = ['node', 'docker', 'nomad', 'bubblewrap', 'slirp4netns', 'apptainer', 'cgroups']

t.test('every part has its line, on a machine that has nothing too', async (t) => {
  const DOCKER_HOST = `unix://${t.testdir()}/none.sock`
  const config = loadConfig({ isolation: 'jail', nomad: { address: await deadAddress() } }, {})
  const checks = await runChecks(config, undefined, bareMachine({ env: { PATH: '/nonexistent', DOCKER_HOST } }))
  t.same(
    checks.map(({ name }) => name),
    names,
  )
  t.same(
    checks.filter(({ found, name }) => !found && name !== 'cgroups').map(({ name }) => name),
    ['docker', 'nomad', 'bubblewrap', 'slirp4netns', 'apptainer'],
  )
  for (const check of checks) t.same(Object.keys(check).sort(), ['detail', 'found', 'mend', 'name', 'version'])
})

t.test('given up while an engine is silent', async (t) => {
  // The path of a socket must be short.
  const folder = mkdtempSync('/tmp/slotpool-test-')
  t.teardown(() => rmSync(folder, { recursive: true }))
  const socket = join(folder, 'silent.sock')
  const sockets = new Set<{ destroy(): void }>()
  const server = createServer((connection) => void sockets.add(connection)).listen(socket)
  t.teardown(() => {
    for (const connection of sockets) connection.destroy()
    server.close()
  })
  await once(server, 'listening')
  const giveUp = new AbortController()
  const connected = once(server, 'connection')
  const machine = bareMachine({ env: { PATH: '/nonexistent', DOCKER_HOST: `unix://${socket}` } })
  const checks = runChecks(loadConfig({ isolation: 'jail' }, {}), giveUp.signal, machine)
  await connected
  giveUp.abort()
  await t.rejects(checks, { code: 'CANCELLED' })
})

t.test('an old Node', async (t) => {
  t.match(await checkNode(bareMachine(), '20.18.3'), { found: false, detail: 'got 20.18.3, expected 20.19 or newer', mend: /^npm install/ })
  for (const version of ['20.19.0', '22.0.0', '24.1.0-nightly'])
    t.match(await checkNode(bareMachine(), version), { found: true, mend: null })
})

t.test('for people', async (t) => {
  t.equal(
    renderChecks([
      { name: 'docker', found: true, version: '27.3.1', detail: 'answers', mend: null },
      { name: 'nomad', found: true, version: null, detail: 'no agent\n answers\n', mend: 'nomad agent -dev' },
      { name: 'bubblewrap', found: false, version: null, detail: 'not there', mend: 'apt-get install -y bubblewrap' },
    ]),
    [
      'ok       docker      27.3.1  answers',
      'mend     nomad       -       no agent; answers',
      '    to mend it: nomad agent -dev',
      'missing  bubblewrap  -       not there',
      '    to mend it: apt-get install -y bubblewrap',
      '',
    ].join('\n'),
  )
  t.equal(renderChecks([]), '')
})
