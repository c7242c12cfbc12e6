import t from 'tap'
import { formatIpv4Range, ipv4Range, overlaps, parseIpv4Range } from '../../../lib/sandbox/network/ipv4-range.ts'

t.test('read and written', async (t) => {
  t.same(parseIpv4Range('255.255.255.255'), { first: 2 ** 32 - 1, prefixLength: 32 })
  t.same(parseIpv4Range('0.0.0.0/0'), { first: 0, prefixLength: 0 })
  t.equal(formatIpv4Range(ipv4Range('198.18.5.77/15')), '198.18.0.0/15', 'bits behind the prefix are cleared')
  t.equal(formatIpv4Range(ipv4Range('10.1.2.3')), '10.1.2.3/32')
  for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.4/', '1.2.3.4/33', '1.2.3.256', 'a.b.c.d', '::1', 'default']) {
    t.equal(parseIpv4Range(text), undefined, text)
  }
  t.throws(() => ipv4Range('nonsense'), TypeError)
})

t.test('what overlaps', async (t) => {
  const overlap = (a: string, b: string) => overlaps(ipv4Range(a), ipv4Range(b)) && overlaps(ipv4Range(b), ipv4Range(a))
  t.ok(overlap('10.0.0.0/8', '10.255.255.255'))
  t.ok(overlap('0.0.0.0/0', '1.1.1.1'))
  t.ok(overlap('10.0.0.0/8', '10.0.0.0/8'))
  t.notOk(overlap('10.0.0.0/8', '11.0.0.0'))
  t.notOk(overlap('10.0.0.0/8', '9.255.255.255'))
})
