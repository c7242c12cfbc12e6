import t from 'tap'
import { chooseNetwork } from '../../../lib/sandbox/network/choose-network.ts'
import { networkSkip, probe, World } from '../../fixtures/network/world.ts'

t.setTimeout(60_000)

t.test('host: what the server has', async (t) => {
  const { level, reason, network } = await chooseNetwork({ network: 'host', where: 'host', allow: [] })
  t.match({ level, reason, ownNamespace: network.ownNamespace }, { level: 'host', reason: null, ownNamespace: false })
  const attached = await network.attach({ slot: 0, pid: process.pid })
  t.equal(attached.resolvConf, null)
  await attached.detach()
  await network.close()
})

t.test('an address that is none is refused, whatever the network', async (t) => {
  await t.rejects(chooseNetwork({ network: 'host', where: 'host', allow: ['10.0.0.1', 'example.test'] }), {
    code: 'CONFIG_INVALID',
    message: /got "example\.test"/,
  })
})

t.test('none: a loopback of its own, with ports below 1024 for everybody', { skip: networkSkip() }, async (t) => {
  const world = await World.make(t, ['198.51.100.1'])
  await world.listen(world.outside, 'outside', ['198.51.100.1:80'])
  const driver = await world.driver({ nameservers: ['198.51.100.1'] })
  t.same(await driver.choose({ network: 'none', where: 'container', allow: [] }), { level: 'none', reason: null, ownNamespace: true })
  const outward = [{ proto: 'tcp' as const, host: '198.51.100.1', port: 80 }]
  const machine = ['nsenter', `--net=/proc/${world.machine.pid}/ns/net`, '--'] as const
  t.match(await probe(machine, outward, 20), [/^outside/])
  for (const user of [undefined, 65_534]) {
    const server = user === undefined ? driver : await world.driver({ nameservers: [], user })
    if (user !== undefined) await server.choose({ network: 'none', where: 'host', allow: [] })
    const slot = await world.slot(0, user)
    t.match(await probe(slot.entry, [{ proto: 'tcp', host: '127.0.0.1', port: 80 }], 20), [/unreachable/], 'before')
    t.match(await server.ask({ do: 'attach', place: slot.place }), { resolvConf: /no network/ })
    await world.listenInSlot(slot, 'slot', ['127.0.0.1:80', '::1:80'])
    t.match(await probe(slot.entry, [{ proto: 'tcp', host: '127.0.0.1', port: 80 }], 20), [/^slot/])
    t.match(await probe(slot.entry, outward, 20), [/unreachable/])
  }
})

t.test('where outbound cannot be had, slots have the network of the server, and it says why', { skip: networkSkip() }, async (t) => {
  const world = await World.make(t, [])
  const without = await world.driver({ nameservers: [], capabilities: '-net_admin,-sys_admin' })
  const inContainer = await without.choose({ network: 'outbound', where: 'container', allow: [] })
  t.match(inContainer, {
    level: 'host',
    ownNamespace: false,
    reason: /^TERMINAL_NETWORK=outbound: [^\n]*; it takes root with CAP_NET_ADMIN[^\n]*$/,
  })
  const onHost = await without.choose({ network: 'outbound', where: 'host', allow: [] })
  t.match(onHost, { level: 'host', ownNamespace: false, reason: /^TERMINAL_NETWORK=outbound: [^\n]*apt-get install slirp4netns[^\n]*$/ })
  await t.rejects(without.choose({ network: 'none', where: 'host', allow: [] }), { code: 'ISOLATION_UNAVAILABLE' })
  t.equal((await world.in(world.machine, 'iptables-save | grep -c SLOTPOOL || true')).trim(), '0')
})
