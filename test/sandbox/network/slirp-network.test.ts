import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { findProgram } from '../../../lib/backend/find-program.ts'
import { toolPath } from '../../../lib/sandbox/tool-path.ts'
import { networkSkip, probe, type Target, World } from '../../fixtures/network/world.ts'

t.setTimeout(120_000)

const slirpSkip = (): string | false =>
  networkSkip() ||
  (findProgram('slirp4netns', toolPath) === undefined && 'needs slirp4netns, which is not installed') ||
  (!existsSync('/dev/net/tun') && 'needs /dev/net/tun')

const outside = '198.51.100.1'
const node = '203.0.113.9'
const metadata = '169.254.169.254'
/** A public address of the machine's own. */
const own = '203.0.113.77'
const options = {
  network: 'outbound' as const,
  where: 'host' as const,
  allow: ['10.8.8.8', '10.8.8.9:8080'],
  environment: { NOMAD_HOST_ADDR_http: `${node}:24680` },
}
const tcp = (host: string, port: number, more: Partial<Target> = {}): Target => ({ proto: 'tcp', host, port, ...more })
const udp = (host: string, port: number, more: Partial<Target> = {}): Target => ({ proto: 'udp', host, port, ...more })
const [shortSeconds, longSeconds] = [1, 20]

const forbidden: readonly Target[] = [
  tcp(metadata, 80),
  udp(metadata, 53),
  tcp('10.7.7.7', 80),
  udp('10.7.7.7', 53),
  tcp('192.168.1.1', 80),
  tcp('100.100.100.200', 80),
  tcp('10.8.8.9', 80),
  tcp(node, 8080),
  tcp('172.20.0.1', 80),
  // The machine, by each of its addresses.
  tcp('172.20.0.5', 7780),
  udp('172.20.0.5', 7780),
  tcp(own, 7780),
  udp(own, 7780),
]

const allowed: readonly Target[] = [
  tcp(outside, 80),
  udp(outside, 53),
  tcp(outside, 8080),
  tcp('10.8.8.8', 80),
  udp('10.8.8.8', 53),
  tcp('10.8.8.9', 8080),
]

/** slirp4netns's own addresses for the machine, which exist in the slot alone. */
const viaSlirp: readonly Target[] = [
  ...['10.0.2.2', '10.0.2.3', '10.0.2.255', '10.0.2.15'].flatMap((host) => [tcp(host, 7780), udp(host, 7780)]),
  tcp('10.0.2.2', 53),
  udp('10.0.2.2', 53),
  // Its servers for starting by network.
  udp('10.0.2.2', 67),
  udp('10.0.2.2', 69),
]

/** Groups that a machine of the same network listens to. */
const groups: readonly Target[] = ['224.0.0.251', '239.1.2.3'].map((host) => udp(host, 5353))

/** The name server that the machine asks: the worst of it, on the machine's own loopback, where other services are too. */
async function hostWorld(t: Parameters<typeof World.make>[0], nameserver = '127.0.0.1') {
  const addresses = [outside, node, metadata, '10.7.7.7', '10.8.8.8', '10.8.8.9', '192.168.1.1', '100.100.100.200']
  const world = await World.make(t, addresses)
  await world.in(world.machine, `ip address add ${own}/32 dev lo`)
  const places = [...addresses, '172.20.0.1'].flatMap((address) => [80, 53, 8080].map((port) => `${address}:${port}`))
  const beyond = await world.listen(world.outside, 'outside', [...places, ...groups.map(({ host, port }) => `${host}:${port}`)])
  const server = await world.listen(world.machine, 'server', ['0.0.0.0:7780', '127.0.0.1:53', '@slotpool-test'])
  return { world, beyond, server, nameserver }
}

/** The slirp4netns of a driver: those of other tests have other parents. */
function slirpsOf(parent: number | undefined): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const stat = /^[0-9]+$/.test(name) ? /^(\d+) \(slirp4netns\) (\S) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) : null
      return stat && stat[2] !== 'Z' && (parent === undefined || Number(stat[3]) === parent) ? [Number(name)] : []
    } catch {
      return []
    }
  })
}

for (const user of [undefined, 65_534]) {
  t.test(`outbound on a host, as ${user === undefined ? 'root' : 'an ordinary user'}`, { skip: slirpSkip() }, async (t) => {
    const { world, beyond, server, nameserver } = await hostWorld(t)
    const driver = await world.driver({ nameservers: [nameserver], ...(user === undefined ? {} : { user }) })
    t.same(await driver.choose(options), { level: 'outbound', reason: null, ownNamespace: true })
    t.same(slirpsOf(driver.child.pid), [], 'the trial left no process')
    const [a, b] = [await world.slot(0, user), await world.slot(1, user)]
    const ofA = await driver.ask<{ handle: number; resolvConf: string }>({ do: 'attach', place: a.place })
    await driver.ask({ do: 'attach', place: b.place })
    t.equal(slirpsOf(driver.child.pid).length, 2)

    await t.test('the machine itself reaches all of it', async (t) => {
      const entry = ['nsenter', `--net=/proc/${world.machine.pid}/ns/net`, '--'] as const
      const targets = [
        ...forbidden,
        ...groups,
        ...allowed,
        tcp('127.0.0.1', 7780),
        tcp('127.0.0.1', 53),
        { proto: 'unix' as const, host: 'slotpool-test' },
      ]
      for (const [index, result] of (await probe(entry, targets, longSeconds)).entries()) {
        t.match(result, /^(outside|server|connected)/, JSON.stringify(targets[index]))
      }
    })

    await t.test('the outside is reached; nothing else is, by sockets bound to the interface neither', async (t) => {
      beyond.contacts.length = 0
      server.contacts.length = 0
      const direct = [...forbidden, ...viaSlirp]
      const targets = [
        ...direct,
        ...direct.map((one) => ({ ...one, bind: 'tap0' })),
        ...direct.map((one) => ({ ...one, bind: 'tap0', dontroute: true })),
        ...[...groups, udp('255.255.255.255', 7780)].flatMap((one) => [one, { ...one, bind: 'tap0' }, { ...one, from: '10.0.2.100' }]),
        { proto: 'unix' as const, host: 'slotpool-test' },
      ]
      const sent = () => world.in(a.place, 'ip -s -json link show tap0 | grep -o \'"tx":{[^}]*}\'')
      const before = await sent()
      t.match(
        await probe(a.entry, targets, shortSeconds),
        targets.map(() => /^failed/),
      )
      // slirp4netns itself refuses some of it, in some versions.
      t.equal(await sent(), before, 'not a packet came out of the slot')
      t.match(
        await probe(a.entry, allowed, longSeconds),
        allowed.map(({ host, port }) => `outside ${host}:${port} 172.20.0.5`),
      )
      t.equal(beyond.contacts.length, allowed.length, 'nothing that was forbidden came through')
      t.same(server.contacts, [])
    })

    await t.test('names are asked of the machine’s own resolver, through port 53 alone', async (t) => {
      t.equal(ofA.resolvConf, 'nameserver 10.0.2.3\n')
      t.match(await probe(a.entry, [udp('10.0.2.3', 53), tcp('10.0.2.3', 53)], longSeconds), [/^server /, /^server /])
    })

    await t.test('two slots listen on one port, and do not reach each other', async (t) => {
      const inA = await world.listenInSlot(a, 'a', ['0.0.0.0:8000', '0.0.0.0:80'])
      const inB = await world.listenInSlot(b, 'b', ['0.0.0.0:8000'])
      t.match(await probe(a.entry, [tcp('127.0.0.1', 8000), tcp('127.0.0.1', 80)], longSeconds), [/^a /, /^a /])
      t.match(await probe(b.entry, [tcp('127.0.0.1', 8000)], longSeconds), [/^b /])
      // Both have the same address, each in its own network.
      t.match(await probe(b.entry, [tcp('10.0.2.100', 8000), tcp('10.0.2.100', 80)], shortSeconds), [/^b /, /^failed/])
      t.equal(inA.contacts.length, 2)
      t.equal(inB.contacts.length, 2)
    })

    await t.test('a network that ends by itself is said to have ended, one that is detached not', async (t) => {
      const [first, second] = slirpsOf(driver.child.pid)
      t.type(second, 'number')
      const c = await world.slot(2, user)
      const ofC = await driver.ask<{ handle: number }>({ do: 'attach', place: c.place })
      const [slirpOfC = 0] = slirpsOf(driver.child.pid).filter((pid) => pid !== first && pid !== second)
      process.kill(slirpOfC, 'SIGKILL')
      await driver.ask({ do: 'ended', handle: ofC.handle })
      await driver.ask({ do: 'detach', handle: ofC.handle })
      await driver.ask({ do: 'detach', handle: ofA.handle })
      t.match(await probe(a.entry, [tcp(outside, 80)], shortSeconds), [/^failed/])
      t.equal(slirpsOf(driver.child.pid).length, 1)
      await driver.ask({ do: 'close' })
      t.same(slirpsOf(driver.child.pid), [])
    })
  })
}

t.test('a server that is killed takes the networks of its slots with it', { skip: slirpSkip() }, async (t) => {
  const { world, nameserver } = await hostWorld(t)
  const driver = await world.driver({ nameservers: [nameserver] })
  await driver.choose(options)
  const slot = await world.slot(0)
  await driver.ask({ do: 'attach', place: slot.place })
  const [slirp = 0] = slirpsOf(driver.child.pid)
  t.ok(slirp)
  await driver.kill()
  // A bare wait: the test is killed by its time when the process stays.
  while (slirpsOf(undefined).includes(slirp)) await new Promise((resolve) => setImmediate(resolve))
})

t.test('another network is taken where the usual one is in use', { skip: slirpSkip() }, async (t) => {
  const { world, nameserver } = await hostWorld(t)
  await world.in(world.machine, 'ip route add 10.0.2.0/24 via 172.20.0.1')
  const driver = await world.driver({ nameservers: [nameserver] })
  await driver.choose(options)
  const slot = await world.slot(0)
  t.match(await driver.ask({ do: 'attach', place: slot.place }), { resolvConf: 'nameserver 10.213.7.3\n' })
  t.match(await probe(slot.entry, [tcp(outside, 80), udp('10.213.7.3', 53)], longSeconds), [/^outside/, /^server/])
})

t.test('a namespace that cannot be entered', { skip: slirpSkip() }, async (t) => {
  const { world, nameserver } = await hostWorld(t)
  const driver = await world.driver({ nameservers: [nameserver] })
  await driver.choose(options)
  const slot = await world.slot(7)
  await slot.end()
  await t.rejects(driver.ask({ do: 'attach', place: slot.place }), {
    code: 'JAIL_FAILED',
    message: /^the network of slot 7 could not be made: /,
  })
  t.same(slirpsOf(driver.child.pid), [])
})
