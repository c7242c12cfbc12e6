import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import { z } from 'zod'
import { NomadClient } from '../../lib/nomad/client.ts'

const request = { path: '/v1/x', schema: z.object({ client: z.string() }), purpose: 'x' }

/** A self-signed certificate for 127.0.0.1; false without the program openssl. */
function certificate(folder: string): { cert: string; key: string } | false {
  const cert = join(folder, 'cert.pem')
  const key = join(folder, 'key.pem')
  const subject = ['-subj', '/CN=slotpool-test', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    })
  } catch {
    return false
  }
  return { cert, key }
}

t.test('a certificate that cannot be read is CONFIG_INVALID and names the variable', async (t) => {
  const address = 'https://127.0.0.1:1'
  for (const [option, variable] of [
    ['caCert', 'NOMAD_CACERT'],
    ['clientCert', 'NOMAD_CLIENT_CERT'],
    ['clientKey', 'NOMAD_CLIENT_KEY'],
  ] as const) {
    t.throws(() => new NomadClient({ address, [option]: '/no/such.pem' }), { code: 'CONFIG_INVALID', details: { variable } })
  }
})

const files = certificate(t.testdir())

t.test('TLS with a CA and a client certificate of one’s own', { skip: files ? false : 'needs the program openssl' }, async (t) => {
  const { cert, key } = files || { cert: '', key: '' }
  const pem = { cert: readFileSync(cert), key: readFileSync(key) }
  const server = createServer({ ...pem, ca: pem.cert, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const { CN } = (request.socket as TLSSocket).getPeerCertificate()?.subject ?? {}
    response.end(JSON.stringify({ client: CN ?? 'nobody' }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`

  for (const trusting of [{ caCert: cert, tlsServerName: '127.0.0.1' }, { caPath: dirname(cert) }, { skipVerify: true }]) {
    const client = new NomadClient({ address, ...trusting })
    t.teardown(() => client.close())
    t.match((await client.request(request)).value, { client: 'nobody' })
  }
  const named = new NomadClient({ address, caCert: cert, tlsServerName: 'server.global.nomad' })
  t.teardown(() => named.close())
  await t.rejects(named.request(request), { code: 'NOMAD_UNAVAILABLE', retryable: false, message: /server.global.nomad/ })
  t.throws(() => new NomadClient({ address, caPath: '/no/such' }), { code: 'CONFIG_INVALID', details: { variable: 'NOMAD_CAPATH' } })

  const stranger = new NomadClient({ address })
  t.teardown(() => stranger.close())
  await t.rejects(stranger.request(request), { code: 'NOMAD_UNAVAILABLE', retryable: false, message: /self-signed certificate/ })

  const trusting = new NomadClient({ address, caCert: cert })
  t.teardown(() => trusting.close())
  t.equal((await trusting.request(request)).value.client, 'nobody')

  const known = new NomadClient({ address, caCert: cert, clientCert: cert, clientKey: key })
  t.teardown(() => known.close())
  t.equal((await known.request(request)).value.client, 'slotpool-test')
})
