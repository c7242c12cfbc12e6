import t from 'tap'
import { formatIpv4Range } from '../../../lib/sandbox/network/ipv4-range.ts'
import { nomadAddresses } from '../../../lib/sandbox/network/nomad-addresses.ts'

t.test('the addresses that Nomad’s variables name', async (t) => {
  const found = await nomadAddresses({
    NOMAD_ADDR: 'http://198.51.100.4:4646',
    NOMAD_ADDR_http: '198.51.100.5:24680',
    NOMAD_IP_http: '198.51.100.6',
    NOMAD_HOST_ADDR_http: '198.51.100.7:24680',
    NOMAD_HOST_IP_http: '198.51.100.8',
    NOMAD_HOST_ADDR_other: '198.51.100.7:24681',
    NOMAD_HOST_ADDR_six: '[2001:db8::1]:80',
    NOMAD_PORT_http: '7780',
    NOMAD_ALLOC_ID: '198.51.100.99',
    NOMAD_ADDR_empty: '',
    NOMAD_ADDR_odd: '::::',
    OTHER: '198.51.100.98',
  })
  t.same(
    found.map(formatIpv4Range).sort(),
    ['4', '5', '6', '7', '8'].map((last) => `198.51.100.${last}/32`),
  )
})

t.test('a name is looked up', async (t) => {
  t.match((await nomadAddresses({ NOMAD_ADDR: 'http://localhost:4646' })).map(formatIpv4Range), ['127.0.0.1/32'])
  t.same(await nomadAddresses({ NOMAD_ADDR: 'http://name.invalid:4646' }), [])
})
