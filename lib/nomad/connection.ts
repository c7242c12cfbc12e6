import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
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
    ...(connection.caCert === undefined ? {} : { ca: pem('NOMAD_CACERT', connection.caCert) }),
    ...(connection.clientCert === undefined ? {} : { cert: pem('NOMAD_CLIENT_CERT', connection.clientCert) }),
    ...(connection.clientKey === undefined ? {} : { key: pem('NOMAD_CLIENT_KEY', connection.clientKey) }),
  })
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
