import t from 'tap'
import { AddressBlock, blockCount, linksPerBlock } from '../../../lib/sandbox/network/address-block.ts'
import { removalOf } from '../../../lib/sandbox/network/firewall.ts'
import { formatIpv4Range, overlaps } from '../../../lib/sandbox/network/ipv4-range.ts'

t.test('blocks do not overlap, and their links have addresses of them', async (t) => {
  const blocks = Array.from({ length: blockCount }, (_, number) => new AddressBlock(number))
  t.equal(String(blocks[0]), '198.18.0.0/20')
  t.equal(String(blocks.at(-1)), '100.127.240.0/20')
  for (const [index, block] of blocks.entries()) t.notOk(blocks.slice(index + 1).some((other) => overlaps(block.range, other.range)))
  t.same(blocks[1]?.link(0), { name: 'slp1-0', serverAddress: '198.18.16.2', slotAddress: '198.18.16.3' })
  const last = blocks.at(-1)?.link(linksPerBlock - 1)
  t.equal(last?.slotAddress, '100.127.255.255')
  t.ok((last?.name.length ?? 99) <= 15, 'the kernel takes no longer name')
  t.throws(() => new AddressBlock(blockCount), RangeError)
})

t.test('what is removed: all of a block, nothing else', async (t) => {
  const saved = `# Generated
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 198.18.0.0/20 ! -o slp0-+ -j MASQUERADE
-A POSTROUTING -s 198.18.16.0/20 ! -o slp1-+ -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:SLOTPOOL-0-OUT - [0:0]
:SLOTPOOL-0-SELF - [0:0]
:SLOTPOOL-1-OUT - [0:0]
-A INPUT -i slp0-+ -j SLOTPOOL-0-SELF
-A FORWARD -i slp0-+ -j SLOTPOOL-0-OUT
-A FORWARD -i slp1-+ -j SLOTPOOL-1-OUT
-A SLOTPOOL-0-OUT -o slp0-+ -j DROP
COMMIT
`
  t.same(removalOf(new AddressBlock(0), saved).trim().split('\n'), [
    '*filter',
    '-D INPUT -i slp0-+ -j SLOTPOOL-0-SELF',
    '-D FORWARD -i slp0-+ -j SLOTPOOL-0-OUT',
    '-F SLOTPOOL-0-OUT',
    '-F SLOTPOOL-0-SELF',
    '-X SLOTPOOL-0-OUT',
    '-X SLOTPOOL-0-SELF',
    'COMMIT',
    '*nat',
    '-D POSTROUTING -s 198.18.0.0/20 ! -o slp0-+ -j MASQUERADE',
    'COMMIT',
  ])
  t.equal(removalOf(new AddressBlock(2), saved), '')
  t.equal(formatIpv4Range(new AddressBlock(2).range), '198.18.32.0/20')
})
