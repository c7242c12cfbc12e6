import t from 'tap'
import { networkSkip, probe, type Slot, type Target, World } from '../../fixtures/network/world.ts'

t.setTimeout(120_000)

const outside = '198.51.100.1'
const nameserver = '10.9.9.53'
const node = '203.0.113.9'
const metadata = '169.254.169.254'
const options = {
  network: 'outbound' as const,
  where: 'container' as const,
  allow: ['10.8.8.8', '10.8.8.9:8080'],
  environment: { NOMAD_HOST_ADDR_http: `${node}:24680`, NOMAD_ADDR: 'http://203.0.113.10:4646' },
}
const tcp = (host: string, port: number, more: Partial<Target> = {}): Target => ({ proto: 'tcp', host, port, ...more })
const udp = (host: string, port: number, more: Partial<Target> = {}): Target => ({ proto: 'udp', host, port, ...more })
const failed = (targets: readonly unknown[]) => targets.map(() => /^failed/)
/** What is to fail is given so long; what is to be reached, so long. */
const [shortSeconds, longSeconds] = [0.5, 20]

/** What no slot may reach, and every program of the container may. */
const forbidden: readonly Target[] = [
  ...[80, 8080, 53].flatMap((port) => [tcp(metadata, port), udp(metadata, port)]),
  tcp('10.7.7.7', 80),
  udp('10.7.7.7', 53),
  tcp('192.168.1.1', 80),
  tcp('100.100.100.200', 80),
  tcp('192.0.0.192', 80),
  tcp('168.63.129.16', 80),
  // Only the named port of the name server and of what is allowed so.
  tcp(nameserver, 80),
  udp(nameserver, 8080),
  tcp('10.8.8.9', 80),
  tcp(node, 8080),
  udp(node, 53),
  tcp('203.0.113.10', 80),
  // The gateway.
  tcp('172.20.0.1', 80),
  // The container itself, at the port of the sandbox server.
  tcp('172.20.0.5', 7780),
  udp('172.20.0.5', 7780),
]

const allowed: readonly Target[] = [
  tcp(outside, 80),
  udp(outside, 53),
  tcp(outside, 8080),
  tcp(nameserver, 53),
  udp(nameserver, 53),
  tcp('10.8.8.8', 80),
  udp('10.8.8.8', 53),
  tcp('10.8.8.9', 8080),
]

async function containerWorld(t: Parameters<typeof World.make>[0]) {
  const addresses = [outside, nameserver, node, metadata, '203.0.113.10', '10.7.7.7', '10.8.8.8', '10.8.8.9', '192.168.1.1']
  const all = [...addresses, '100.100.100.200', '192.0.0.192', '168.63.129.16']
  const world = await World.make(t, all)
  const places = [...all, '172.20.0.1'].flatMap((address) => [80, 53, 8080].map((port) => `${address}:${port}`))
  const beyond = await world.listen(world.outside, 'outside', places)
  const server = await world.listen(world.machine, 'server', ['0.0.0.0:7780', '@slotpool-test'])
  const before = await state(world)
  const driver = await world.driver({ nameservers: [nameserver, '127.0.0.11', 'fd00::1'] })
  return { world, beyond, server, driver, before }
}

/** The interfaces and packet filters of the container. */
async function state(world: World): Promise<string> {
  const shown = await world.in(world.machine, 'ip -br link | cut -d" " -f1 | sort; iptables-save | grep -E "^-A|SLOTPOOL" | sort || true')
  return shown
}

async function attach(driver: Awaited<ReturnType<World['driver']>>, slot: Slot) {
  return driver.ask<{ handle: number; resolvConf: string }>({ do: 'attach', place: slot.place })
}

t.test('outbound in a container', { skip: networkSkip() }, async (t) => {
  const { world, beyond, server, driver, before } = await containerWorld(t)
  t.same(await driver.choose(options), { level: 'outbound', reason: null, ownNamespace: true })
  t.match(await state(world), /SLOTPOOL-0-OUT/)
  t.notMatch(await state(world), /slp0-\d/, 'the trial left no link')
  const [a, b] = [await world.slot(0), await world.slot(1)]
  const [ofA, ofB] = [await attach(driver, a), await attach(driver, b)]
  const addressOf = async (slot: Slot) => (await world.in(slot.place, "ip -br -4 address show eth0 | awk '{print $3}'")).split('/')[0] ?? ''
  const [addressA, addressB] = [await addressOf(a), await addressOf(b)]
  t.notMatch(addressA, addressB)

  await t.test('the container itself reaches all of it', async (t) => {
    const entry = ['nsenter', `--net=/proc/${world.machine.pid}/ns/net`, '--'] as const
    const targets = [...forbidden, ...allowed, { proto: 'unix' as const, host: 'slotpool-test' }]
    for (const [index, result] of (await probe(entry, targets, longSeconds)).entries()) {
      t.match(result, /^(outside|server|connected)/, JSON.stringify(targets[index]))
    }
  })

  await t.test('the outside is reached, as the container; nothing else is', async (t) => {
    beyond.contacts.length = 0
    server.contacts.length = 0
    t.match(await probe(a.entry, forbidden, shortSeconds), failed(forbidden))
    t.match(
      await probe(a.entry, allowed, longSeconds),
      allowed.map(({ host, port }) => `outside ${host}:${port} 172.20.0.5`),
    )
    t.equal(beyond.contacts.length, allowed.length, 'nothing that was forbidden came through')
    t.same(server.contacts, [])
  })

  await t.test('what is denied fails at once, without a packet', async (t) => {
    const [denied] = await probe(a.entry, [tcp(metadata, 80)], longSeconds)
    t.match(denied, /Permission denied/)
  })

  await t.test('a slot that could change its own routes gets no further', async (t) => {
    const c = await world.slot(2)
    await attach(driver, c)
    const gateway = (await world.in(c.place, "ip route show default | awk '{print $3}'")).trim()
    await world.in(c.place, 'ip rule flush; ip rule add lookup main; ip link set eth0 arp on')
    const own = [tcp(gateway, 7780), udp(gateway, 7780), udp('255.255.255.255', 7780, { bind: 'eth0' }), udp('224.0.0.1', 7780)]
    const neighbours = [tcp(addressA, 8000), tcp(addressA, 8000, { bind: 'eth0' })]
    const targets = [...forbidden, ...forbidden.map((one) => ({ ...one, bind: 'eth0' })), ...own, ...neighbours]
    const inA = await world.listenInSlot(a, 'a', ['0.0.0.0:8000'])
    beyond.contacts.length = 0
    server.contacts.length = 0
    t.match(await probe(c.privilegedEntry, targets, shortSeconds), failed(targets))
    // Its neighbour's address and one of the outside's as the source; answers would go there.
    await world.in(c.place, `ip address add ${addressA}/32 dev lo; ip address add 198.51.100.7/32 dev lo`)
    const spoofed = [addressA, '198.51.100.7'].flatMap((from) => [udp(outside, 53, { from }), tcp(outside, 80, { from })])
    t.match(await probe(c.privilegedEntry, spoofed, shortSeconds), failed(spoofed))
    // An address by IPv6 that it gave to itself.
    await world.in(c.place, 'echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip -6 address add fe80::9/64 dev eth0 nodad')
    const link = (await world.in(world.machine, 'ip -br link')).split('\n').filter((line) => line.startsWith('slp0-'))
    t.equal(link.length, 3)
    t.equal((await world.in(world.machine, 'ip -6 -br address show up | grep ^slp0- || true')).trim().includes('fe80'), false)
    t.match(await probe(c.privilegedEntry, [udp('ff02::1%eth0', 7780), tcp('fe80::1%eth0', 7780)], shortSeconds), [/^failed/, /^failed/])
    t.match(await probe(c.privilegedEntry, [tcp(outside, 80)], longSeconds), [/^outside/], 'it still has its way outward')
    t.match(beyond.contacts, [`tcp ${outside}:80 172.20.0.5`])
    t.equal(beyond.contacts.length, 1)
    t.same(server.contacts, [])
    t.same(inA.contacts, [])
    await c.end()
  })

  await t.test('a slot that floods the outside with connections leaves room for the others', async (t) => {
    const flood = `python3 -c '
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(10000, 16000):
    try: one.sendto(b"x", ("${outside}", port))
    except OSError: pass
'`
    const count = async () => Number(await world.in(world.machine, 'cat /proc/sys/net/netfilter/nf_conntrack_count'))
    const before = await count()
    const c = await world.slot(2)
    await attach(driver, c)
    await world.in(c.place, flood)
    t.ok((await count()) - before <= 4100, 'bounded')
    t.match(await probe(b.entry, [tcp(outside, 80)], longSeconds), [/^outside/])
    const between = await count()
    await world.in(world.machine, flood)
    t.ok((await count()) - between > 5000, 'the flood is one')
    await c.end()
  })

  await t.test('two slots listen on one port, and do not reach each other', async (t) => {
    const inB = await world.listenInSlot(b, 'b', ['0.0.0.0:8000', '[::1]:8000'.replace(/[[\]]/g, ''), '0.0.0.0:80', '@slotpool-b'])
    t.match(await probe(b.entry, [tcp('127.0.0.1', 8000), tcp('::1', 8000), tcp('127.0.0.1', 80)], longSeconds), [/^b /, /^b /, /^b /])
    t.match(await probe(a.entry, [tcp('127.0.0.1', 8000)], longSeconds), [/^a /])
    inB.contacts.length = 0
    const atB = [
      tcp(addressB, 8000),
      udp(addressB, 8000),
      tcp(addressB, 8000, { bind: 'eth0' }),
      { proto: 'unix' as const, host: 'slotpool-b' },
    ]
    t.match(await probe(a.entry, [...atB, { proto: 'unix', host: 'slotpool-test' }], shortSeconds), failed([...atB, 0]))
    await world.in(world.outside, 'ip route add 198.18.0.0/15 via 172.20.0.5')
    t.match(await probe(['nsenter', `--net=/proc/${world.outside.pid}/ns/net`, '--'], atB.slice(0, 2), shortSeconds), failed([0, 0]))
    t.same(inB.contacts, [])
  })

  await t.test('the root of a slot has no rights over its network', async (t) => {
    const attempts = [
      'ip rule del pref 100',
      'ip route add 10.7.7.7 dev eth0',
      'ip address add 10.1.1.1/24 dev eth0',
      'ip link set dev eth0 down',
      'ip neigh add 10.7.7.7 lladdr 02:00:00:00:00:01 dev eth0',
      'iptables -F',
      'python3 -c "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"',
      'python3 -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 17)"',
      'python3 -c "import socket; socket.socket().setsockopt(0, 19, 1)"',
    ]
    for (const attempt of attempts) {
      const script = `if ${attempt} 2>/dev/null; then echo done; else echo refused; fi`
      t.equal(await inside(world, a.entry, script), 'refused\n', attempt)
    }
    await world.in((await world.slot(3)).place, `ip link set lo up; ${attempts.slice(-3).join('; ')}`)
  })

  await t.test('what a slot asks for names', async (t) => {
    t.equal(ofA.resolvConf, `nameserver ${nameserver}\n`)
  })

  await t.test('a slot that ended, one that is detached, and closing leave nothing', async (t) => {
    await driver.ask({ do: 'detach', handle: ofA.handle })
    await driver.ask({ do: 'detach', handle: ofA.handle })
    t.match(await probe(a.entry, [tcp(outside, 80)], shortSeconds), [/^failed/])
    await b.end()
    await driver.ask({ do: 'detach', handle: ofB.handle })
    await driver.ask({ do: 'close' })
    t.equal(await state(world), before)
  })
})

t.test('servers that share a network namespace, and what is left of one that was killed', { skip: networkSkip() }, async (t) => {
  const { world, driver, before } = await containerWorld(t)
  await driver.choose(options)
  const other = await world.driver({ nameservers: [nameserver] })
  t.equal((await other.choose(options)).level, 'outbound')
  const [a, b] = [await world.slot(0), await world.slot(0)]
  await attach(driver, a)
  await attach(other, b)
  t.match(await probe(a.entry, [tcp(outside, 80)], longSeconds), [/^outside/])
  t.match(await probe(b.entry, [tcp(outside, 80)], longSeconds), [/^outside/])
  t.match(await state(world), /slp0-\d[\s\S]*slp1-\d/)

  await driver.kill()
  const left = await state(world)
  t.match(left, /slp0-\d/, 'what was killed could not clean up')
  const next = await world.driver({ nameservers: [nameserver] })
  t.equal((await next.choose(options)).level, 'outbound')
  t.equal((await state(world)).split('SLOTPOOL-0-OUT -j ACCEPT').length, left.split('SLOTPOOL-0-OUT -j ACCEPT').length, 'no rule twice')
  const c = await world.slot(0)
  await attach(next, c)
  t.match(await probe(c.entry, [tcp(outside, 80)], longSeconds), [/^outside/])
  t.match(await probe(b.entry, [tcp(outside, 80)], longSeconds), [/^outside/], 'the other server’s slot has kept its network')
  await other.ask({ do: 'close' })
  await next.ask({ do: 'close' })
  t.equal(await state(world), before)
})

t.test('addresses that lead somewhere already are not given to slots', { skip: networkSkip() }, async (t) => {
  const { world, driver } = await containerWorld(t)
  await world.in(world.machine, 'ip route add 198.18.0.0/16 via 172.20.0.1')
  await driver.choose(options)
  const slot = await world.slot(0)
  await attach(driver, slot)
  t.match(await world.in(slot.place, 'ip -br -4 address show eth0'), /198\.19\./)
  t.match(await probe(slot.entry, [tcp(outside, 80)], longSeconds), [/^outside/])
})

t.test('a name server on the container’s own loopback is asked by the server', { skip: networkSkip() }, async (t) => {
  const { world, server, driver, before } = await containerWorld(t)
  await driver.kill()
  await world.listen(world.machine, 'resolver', ['127.0.0.1:53', '::1:53'])
  for (const [nameservers, asked] of [
    [['127.0.0.1'], '127.0.0.1:53 127.0.0.1'],
    [['::1'], '::1:53 ::1'],
    // Nobody answers at the first.
    [['127.0.0.9', '127.0.0.1'], '127.0.0.1:53 127.0.0.1'],
  ] as const) {
    const relaying = await world.driver({ nameservers })
    t.equal((await relaying.choose(options)).level, 'outbound')
    const slot = await world.slot(0)
    t.match(await attach(relaying, slot), { resolvConf: 'nameserver 198.18.0.0\n' })
    t.match(await probe(slot.entry, [udp('198.18.0.0', 53)], longSeconds), [`resolver ${asked}`])
    if (nameservers.length === 1) t.match(await probe(slot.entry, [tcp('198.18.0.0', 53)], longSeconds), [`resolver ${asked}`])
    const others = [tcp('198.18.0.0', 7780), udp('198.18.0.0', 7780), tcp('198.18.0.2', 53), udp('198.18.0.2', 53), tcp('172.20.0.5', 53)]
    server.contacts.length = 0
    t.match(await probe(slot.privilegedEntry, [tcp('198.18.0.0', 7780)], shortSeconds), [/Permission denied/])
    await world.in(slot.place, 'ip rule flush; ip rule add lookup main')
    t.match(await probe(slot.privilegedEntry, others, shortSeconds), failed(others))
    t.same(server.contacts, [])
    // The last one is closed properly, the others leave their address and rules to the next.
    if (nameservers.length === 1) await relaying.kill()
    else await relaying.ask({ do: 'close' })
    await slot.end()
  }
  t.equal(await state(world), before)
  t.notMatch(await world.in(world.machine, 'ip address show'), /198\.18\./)
})

t.test('an address that a slot had is not the next slot’s', { skip: networkSkip() }, async (t) => {
  const { world, driver } = await containerWorld(t)
  await driver.choose(options)
  const addresses = new Set<string>()
  for (let slots = 0; slots < 4; slots++) {
    const slot = await world.slot(slots)
    const { handle } = await attach(driver, slot)
    addresses.add((await world.in(slot.place, "ip -br -4 address show eth0 | awk '{print $3}'")).trim())
    await driver.ask({ do: 'detach', handle })
    await slot.end()
  }
  t.equal(addresses.size, 4)
  await driver.ask({ do: 'close' })
})

t.test('a namespace that cannot be entered', { skip: networkSkip() }, async (t) => {
  const { world, driver, before } = await containerWorld(t)
  await driver.choose(options)
  const slot = await world.slot(7)
  await slot.end()
  await t.rejects(driver.ask({ do: 'attach', place: slot.place }), {
    code: 'JAIL_FAILED',
    message: /^the network of slot 7 could not be made: /,
  })
  await driver.ask({ do: 'close' })
  t.equal(await state(world), before)
})

async function inside(world: World, entry: readonly [string, ...string[]], script: string): Promise<string> {
  return world.in({ pid: process.pid }, `exec ${entry.map((one) => `'${one}'`).join(' ')} bash -c '${script.replaceAll("'", "'\\''")}'`)
}
