import type { Duplex } from 'node:stream'

/**
 * How a sandbox server is reached: HTTP at `url`, through `socketPath` where both ends share the machine, over what `connect` makes where both are
 * in one process.
 */
export interface Endpoint {
  url: string
  socketPath?: string
  /** Makes one end of a connection that is open at once; the server has the other. */
  connect?: () => Duplex
}

/** Where its socket is, for `net.connect`. */
export function socketAddress({ url, socketPath }: Endpoint): { path: string } | { host: string; port: number } {
  if (socketPath !== undefined) return { path: socketPath }
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80) }
}
