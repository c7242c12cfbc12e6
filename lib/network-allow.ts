import { isIPv4 } from 'node:net'
import { z } from 'zod'

const expected =
  'expected IPv4 addresses or ranges that are not loopback, each perhaps with a port, such as 10.1.2.3, 10.1.0.0/16 or 10.1.2.3:5432'

/** Addresses that `outbound` reaches although they are private. A slot's loopback is its own, so there is nothing to allow in it. */
export const networkAllowList = z.array(z.string().refine(isAddress, expected), { error: expected })

function isAddress(text: string): boolean {
  const [, address = '', prefix, port] = /^([0-9.]+)(?:\/([0-9]{1,2}))?(?::([0-9]{1,5}))?$/.exec(text) ?? []
  if (!isIPv4(address) || address.startsWith('127.')) return false
  if (prefix !== undefined && (Number(prefix) > 32 || reachesLoopback(address, Number(prefix)))) return false
  return port === undefined || (Number(port) >= 1 && Number(port) <= 65_535)
}

/** Whether a range has addresses of 127.0.0.0/8. */
function reachesLoopback(address: string, prefix: number): boolean {
  if (prefix >= 8) return false
  const shift = 8 - prefix
  return Number(address.split('.')[0]) >> shift === 127 >> shift
}
