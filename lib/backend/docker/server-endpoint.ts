import { networkInterfaces } from 'node:os'
import type { Endpoint } from '../../wire/endpoint.ts'
import { serverPort } from './container-spec.ts'

/** A network that a container is in, as the engine tells it. */
export interface ContainerNetwork {
  /** The container's own address there; empty until it runs. */
  IPAddress: string
  /** The bridge's address. */
  Gateway: string
}

/**
 * Where a container's sandbox server is reached. The port that the engine publishes on loopback is served by a program that copies each byte
 * between two connections. Where the bridge of the container's network is one of this machine's own, its server is reached without that;
 * elsewhere, as with an engine in a virtual machine, the container's address may be anybody's.
 */
export function serverEndpoint(publishedPort: number, networks: Readonly<Record<string, ContainerNetwork>> = {}): Endpoint {
  const near = Object.values(networks).find(({ IPAddress, Gateway }) => IPAddress !== '' && isOwnAddress(Gateway))
  return { url: near ? `http://${near.IPAddress}:${serverPort}` : `http://127.0.0.1:${publishedPort}` }
}

function isOwnAddress(address: string): boolean {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .some((one) => one.address === address)
}
