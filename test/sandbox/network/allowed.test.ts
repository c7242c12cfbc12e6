import t from 'tap'
import { parseAllowed } from '../../../lib/sandbox/network/allowed.ts'
import { ipv4Range } from '../../../lib/sandbox/network/ipv4-range.ts'

t.test('addresses and ranges, with a port or without', async (t) => {
  t.same(parseAllowed('10.1.2.3'), { range: ipv4Range('10.1.2.3/32') })
  t.same(parseAllowed('10.1.2.3:5432'), { range: ipv4Range('10.1.2.3/32'), port: 5432 })
  t.same(parseAllowed('10.1.0.0/16'), { range: ipv4Range('10.1.0.0/16') })
  t.same(parseAllowed('10.1.0.0/16:443'), { range: ipv4Range('10.1.0.0/16'), port: 443 })
})

t.test('anything else is refused', async (t) => {
  const bad = [
    '',
    'localhost',
    '10.1.2',
    '10.1.2.256',
    '10.0.0.0/33',
    '10.1.2.3:0',
    '10.1.2.3:65536',
    '10.1.2.3:',
    '10.1.2.3:80:80',
    ' 10.1.2.3',
  ]
  for (const text of [...bad, 'fd00::1', '[fd00::1]:80', '127.0.0.1', '127.0.0.0/8:80', '0.0.0.0/0', '64.0.0.0/2']) {
    t.throws(() => parseAllowed(text), { code: 'CONFIG_INVALID', details: { got: text } }, text)
  }
})
