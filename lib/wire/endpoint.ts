/** How a sandbox server is reached: HTTP at `url`, through `socketPath` where both ends share the machine. */
export interface Endpoint {
  url: string
  socketPath?: string
}
