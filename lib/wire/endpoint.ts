/** How a sandbox server is reached: HTTP at `url`, through `socketPath` where both ends share the machine. */
export interface Endpoint {
  url: string
  socketPath?: string
}

/** Where its socket is, for `net.connect`. */
export function socketAddress({ url, socketPath }: Endpoint): { path: string } | { host: string; port: number } {
  if (socketPath !== undefined) return { path: socketPath }
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80) }
}
