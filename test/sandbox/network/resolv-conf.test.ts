import t from 'tap'
import { formatIpv4Range } from '../../../lib/sandbox/network/ipv4-range.ts'
import { parseResolvConf, readResolvConf, renderResolvConf, routedNameservers } from '../../../lib/sandbox/network/resolv-conf.ts'

const content =
  '# made by hand\nnameserver 127.0.0.53\n nameserver 192.0.2.53 \nnameserver fd00::1\nsearch example.test\noptions edns0 ndots:2\n;x\n'

t.test('name servers apart from the rest', async (t) => {
  const conf = parseResolvConf(content)
  t.same(conf, { nameservers: ['127.0.0.53', '192.0.2.53', 'fd00::1'], otherLines: ['search example.test', 'options edns0 ndots:2'] })
  t.same(routedNameservers(conf).map(formatIpv4Range), ['192.0.2.53/32'])
  t.equal(renderResolvConf(conf, ['10.0.2.3']), 'nameserver 10.0.2.3\nsearch example.test\noptions edns0 ndots:2\n')
})

t.test('one that is missing names nobody', async (t) => {
  t.same(await readResolvConf('/nonexistent/resolv.conf'), { nameservers: [], otherLines: [] })
})
