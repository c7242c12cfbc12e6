import { homedir } from 'node:os'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'
import { contextEndpoint, currentContext } from './docker-context.ts'
import { type TlsFiles, tlsFromFolder } from './tls-files.ts'

/** Where the engine is, from the same settings as Docker's own CLI reads. */
export interface EngineAddress {
  /** As `DOCKER_HOST` would have it, such as `unix:///var/run/docker.sock`. */
  address: string
  /** What named it: `DOCKER_HOST`, `the Docker context "x"`, or null for the default. */
  namedBy: string | null
  transport: { kind: 'unix'; socketPath: string } | { kind: 'tcp' | 'ssh'; host: string; port: number; username?: string }
  tls?: TlsFiles
  /** `DOCKER_API_VERSION`. */
  apiVersion?: string
}

const defaultAddress = 'unix:///var/run/docker.sock'

/**
 * `DOCKER_HOST`, else the context named by `DOCKER_CONTEXT` or chosen with `docker context use`, else the default socket; with
 * `DOCKER_TLS_VERIFY`, `DOCKER_TLS`, `DOCKER_CERT_PATH`, `DOCKER_CONFIG` and `DOCKER_API_VERSION`. Reads files, connects to nothing.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` for an address, a context or a certificate that cannot be used.
 */
export function engineAddress(env: NodeJS.ProcessEnv = process.env): EngineAddress {
  const configFolder = env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker')
  const version = env.DOCKER_API_VERSION ? { apiVersion: env.DOCKER_API_VERSION } : {}
  if (env.DOCKER_HOST) {
    const tls = tlsFromEnvironment(env, configFolder)
    return { ...parseAddress(env.DOCKER_HOST, 'DOCKER_HOST', tls !== undefined), ...(tls ? { tls } : {}), ...version }
  }
  const context = env.DOCKER_CONTEXT || currentContext(configFolder)
  if (context === undefined || context === 'default') return { ...parseAddress(defaultAddress, null, false), ...version }
  const endpoint = contextEndpoint(configFolder, context)
  const parsed = parseAddress(endpoint.host, `the Docker context "${context}"`, endpoint.tls !== undefined)
  return { ...parsed, ...(endpoint.tls ? { tls: endpoint.tls } : {}), ...version }
}

function tlsFromEnvironment(env: NodeJS.ProcessEnv, configFolder: string): TlsFiles | undefined {
  if (!env.DOCKER_TLS_VERIFY && !env.DOCKER_TLS) return undefined
  return tlsFromFolder(env.DOCKER_CERT_PATH || configFolder, Boolean(env.DOCKER_TLS_VERIFY))
}

function parseAddress(text: string, namedBy: string | null, tls: boolean): EngineAddress {
  if (text.startsWith('unix://')) {
    const socketPath = text.slice('unix://'.length)
    if (socketPath.startsWith('/')) return { address: text, namedBy, transport: { kind: 'unix', socketPath } }
    throw badAddress(text, namedBy)
  }
  // Docker's CLI reads an address without a scheme as tcp.
  const full = text.includes('://') ? text : `tcp://${text}`
  let url: URL
  try {
    url = new URL(full)
  } catch (cause) {
    throw badAddress(text, namedBy, cause)
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const known = ['tcp:', 'http:', 'https:', 'ssh:'].includes(url.protocol)
  // A path would be a prefix of the API, which a proxy may want; it is refused rather than left out.
  if (!known || host === '' || !['', '/'].includes(url.pathname)) throw badAddress(text, namedBy)
  const port = url.port === '' ? undefined : Number(url.port)
  if (url.protocol === 'ssh:') {
    const user = url.username === '' ? {} : { username: decodeURIComponent(url.username) }
    return { address: full, namedBy, transport: { kind: 'ssh', host, port: port ?? 22, ...user } }
  }
  return { address: full, namedBy, transport: { kind: 'tcp', host, port: port ?? (tls ? 2376 : 2375) } }
}

function badAddress(got: string, namedBy: string | null, cause?: unknown): SlotpoolError {
  const expected = 'unix:///path, tcp://host:port or ssh://user@host'
  return new SlotpoolError('CONFIG_INVALID', `${namedBy}: got ${JSON.stringify(got)}, expected ${expected}`, {
    cause,
    details: { variable: namedBy, got, expected },
  })
}
