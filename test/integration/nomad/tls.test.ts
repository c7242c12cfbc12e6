import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nomadAnswers } from '../../../lib/backend/nomad/reachable.ts'
import { SlotPool } from '../../../lib/index.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { cli } from '../../fixtures/cli.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'

const withoutOpenssl = spawnSync('openssl', ['version']).error ? 'needs the program openssl' : false
const skip = (await nomadSkip()) || (await dockerSkip()) || withoutOpenssl

t.setTimeout(300_000)

/** A CA, and a certificate of its for an agent on this machine and whoever speaks to it. */
function certificates(folder: string): { ca: string; cert: string; key: string } {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
  const names = 'DNS:server.global.nomad,DNS:client.global.nomad,DNS:localhost,IP:127.0.0.1'
  writeFileSync(at('extensions'), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    at('ca-key.pem'),
    '-out',
    at('ca.pem'),
    '-subj',
    '/CN=a test',
    '-days',
    '2',
  )
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', at('key.pem'), '-out', at('request.pem'), '-subj', '/CN=agent')
  const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-extfile', at('extensions'), '-days', '2']
  openssl('x509', '-req', '-in', at('request.pem'), '-out', at('cert.pem'), ...signing)
  return { ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') }
}

t.test('a pool on an agent with ACLs that speaks TLS alone, to whoever has a certificate', { skip }, async (t) => {
  const image = await builtImage(t)
  const { connection, address } = await nomadAgent(t, { acl: true, tls: certificates(t.testdir()) })
  const { token = '', caCert = '', clientCert = '', clientKey = '' } = connection
  const pool = testName()
  const open = (nomad: object) =>
    SlotPool.open({ env: 'nomad', pool, image, slots: 1, max: 1, nomad: { address, fallback: 'none', ...nomad } })

  await t.rejects(open({ token }), { code: 'NOMAD_UNAVAILABLE' }, 'its CA is not known')
  await t.rejects(open({ token, caCert }), { code: 'NOMAD_UNAVAILABLE' }, 'no certificate is shown')
  await t.rejects(open({ caCert, clientCert, clientKey }), { code: 'NOMAD_FORBIDDEN' }, 'no token')
  t.equal(await nomadAnswers({ address }), false)

  const one = await open({ token, caCert, clientCert, clientKey })
  t.teardown(() => one.close())
  t.equal((await (await one.lease('a')).exec('echo hello')).stdout, 'hello\n')

  const variables = { NOMAD_TOKEN: token, NOMAD_CACERT: caCert, NOMAD_CLIENT_CERT: clientCert, NOMAD_CLIENT_KEY: clientKey }
  const { run } = await cli(t, { TERMINAL_ENV: 'nomad', NOMAD_ADDR: address, ...variables })
  const status = await run(['status', '--pool', pool, '--json'])
  t.match(JSON.parse(status.stdout), { backend: 'nomad', totals: { leased: 1 } }, 'by the variables of Nomad\u2019s own command line')
  await one.down()
})
