import { SlotpoolError } from '../../errors.ts'
import { type Ipv4Range, ipv4Range, overlaps, parseIpv4Range } from './ipv4-range.ts'

/** An operator's exception: addresses that slots may reach although they are none of the outside's. */
export interface Allowed {
  range: Ipv4Range
  /** Only this port, by TCP and UDP; any traffic where it is missing. */
  port?: number
}

const expected = 'an IPv4 address or range that is not loopback, perhaps with a port, such as 10.1.2.3, 10.1.0.0/16 or 10.1.2.3:5432'
const loopback = ipv4Range('127.0.0.0/8')

/**
 * `10.1.2.3`, `10.1.0.0/16`, `10.1.2.3:5432` or `10.1.0.0/16:443`. A slot's loopback is its own, so there is nothing to allow in it.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID`.
 */
export function parseAllowed(text: string): Allowed {
  const [address = '', portText, ...rest] = text.split(':')
  const range = parseIpv4Range(address)
  const port = portText === undefined ? undefined : /^[0-9]{1,5}$/.test(portText) ? Number(portText) : 0
  const badPort = port !== undefined && (port < 1 || port > 65_535)
  if (range === undefined || badPort || rest.length > 0 || overlaps(range, loopback)) {
    throw new SlotpoolError('CONFIG_INVALID', `allowed address: got ${JSON.stringify(text)}, expected ${expected}`, {
      details: { got: text, expected },
    })
  }
  return port === undefined ? { range } : { range, port }
}
