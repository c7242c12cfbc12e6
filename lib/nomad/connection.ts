import { readdirSync, readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { join } from 'node:path'
import type { NomadConnection } from '../config.ts'
import { SlotpoolError } from '../errors.ts'

/**
 * Nomad's agents give one client address 100 connections, and those are shared with whatever else runs here. A blocking query holds
 * one for as long as it waits.
 */
const maxSockets = 24

/** The keep-alive agent through which all requests of one client go. TLS is set up as Nomad's own CLI does. */
export function connectionAgent(connection: NomadConnection): HttpAgent | HttpsAgent {
  const keepAlive = { keepAlive: true, maxSockets, scheduling: 'lifo' as const }
  if (new URL(connection.address).protocol === 'http:') return new HttpAgent(keepAlive)
  return new HttpsAgent({
    ...keepAlive,
    ...authorities(connection),
    ...(connection.tlsServerName === undefined ? {} : { servername: connection.tlsServerName }),
    ...(connection.skipVerify ? { rejectUnauthorized: false } : {}),
    ...(connection.clientCert === undefined ? {} : { cert: pem('NOMAD_CLIENT_CERT', connection.clientCert) }),
    ...(connection.clientKey === undefined ? {} : { key: pem('NOMAD_CLIENT_KEY', connection.clientKey) }),
  })
}

function authorities({ caCert, caPath }: NomadConnection): { ca?: Buffer | Buffer[] } {
  if (caCert !== undefined) return { ca: pem('NOMAD_CACERT', caCert) }
  if (caPath === undefined) return {}
  try {
    const files = readdirSync(caPath, { withFileTypes: true }).filter((one) => !one.isDirectory())
    return { ca: files.map(({ name }) => readFileSync(join(caPath, name))) }
  } catch (cause) {
    const expected = 'a folder of PEM files that can be read'
    throw new SlotpoolError('CONFIG_INVALID', `NOMAD_CAPATH: got ${JSON.stringify(caPath)}, expected ${expected}`, {
      cause,
      details: { variable: 'NOMAD_CAPATH', got: caPath, expected },
    })
  }
}

function pem(variable: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new SlotpoolError('CONFIG_INVALID', `${variable}: got ${JSON.stringify(path)}, expected a PEM file that can be read`, {
      cause,
      details: { variable, got: path, expected: 'a PEM file that can be read' },
    })
  }
}
