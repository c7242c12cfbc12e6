import type { Attempt, Scene } from '../attempt.ts'
import { startBeside } from '../beside.ts'
import { perl } from '../probe.ts'
import { sharedNetwork } from '../shared-network.ts'

/**
 * Speaks to what listens beside the slot: on the server's loopback, where databases and Nomad's API trust whoever comes; at a neighbour; at
 * the sandbox server; at the address where a cloud hands out its keys. All of it is loopback or in namespaces of the test's own.
 */
const listener = (address: string, mark: string): string =>
  perl(
    `use Socket qw(:all); my ($address) = @ARGV; my $six = $address =~ /:/;
     socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or die $!;
     bind($s, $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $address)) : pack_sockaddr_in(0, inet_aton($address))) or die "bind: $!"; listen($s, 16);
     my ($port) = $six ? unpack_sockaddr_in6(getsockname $s) : unpack_sockaddr_in(getsockname $s);
     open(my $r, '>', $ENV{READY}) or die $!; print $r "$port\\n"; close $r;
     while (accept(my $c, $s)) { print $c "hello from ${mark}\\n"; close $c }`,
    address,
  )

/** Says `got` for each that sends its word, or accepts at all where there is no word. */
const connecting = (places: readonly string[]): string =>
  perl(
    `use Socket qw(:all);
     for my $place (@ARGV) {
       my ($address, $port) = $place =~ /^(.*)\\/(\\d+)$/; my $six = $address =~ /:/;
       socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or do { held("socket: $!"); next };
       setsockopt($s, SOL_SOCKET, SO_SNDTIMEO, pack('l!l!', 2, 0)); setsockopt($s, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 2, 0));
       if (connect($s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) : pack_sockaddr_in($port, inet_aton($address)))) { got($place) } else { held("$place: $!") }
     }`,
    ...places,
  )

/** Starts a listener beside the server; resolves with its port. */
async function listen({ beside, mark, after }: Scene, address: string): Promise<number> {
  const port = (await beside.run('mktemp')).trim()
  const other = await startBeside(
    beside,
    `SAID=$READY; mkfifo ${port}.pipe; (READY=${port}.pipe exec ${listener(address, mark)}) & read -r port < ${port}.pipe; echo $port > ${port}; echo > "$SAID"; wait`,
  )
  after(async () => {
    await other.end()
    await beside.run(`rm -f ${port} ${port}.pipe`)
  })
  return Number((await beside.run(`cat ${port}`)).trim())
}

const addresses = (found: string): string[] => found.trim().split('\n').filter(Boolean)

export const attempts: Attempt[] = [
  {
    name: 'the loopback of the machine or the container',
    unless: sharedNetwork,
    escape: async (scene) => {
      const places = [`127.0.0.1/${await listen(scene, '127.0.0.1')}`, `127.0.0.2/${await listen(scene, '127.0.0.2')}`]
      if ((await scene.beside.run('cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 2> /dev/null; true')).trim() === '0')
        places.push(`::1/${await listen(scene, '::1')}`)
      return scene.attack(connecting(places))
    },
  },
  {
    name: 'a neighbour’s listener',
    unless: sharedNetwork,
    escape: async ({ neighbour, mark, prepare, attack }) => {
      const port = (
        await prepare(
          `mkfifo ready; (READY=ready exec ${listener('0.0.0.0', mark)}) < /dev/null > /dev/null 2>&1 & read -r -t 10 port 0<> ready; echo $port`,
        )
      ).trim()
      // At every address that the neighbour has.
      const { stdout } = await neighbour.exec(
        perl(
          `open(my $f, '<', '/proc/net/fib_trie'); my ($at, %all); while (<$f>) { $at = $1 if /\\|-- (\\S+)/; $all{$at} = 1 if /32 host LOCAL/ } print "$_\\n" for sort keys %all`,
        ),
      )
      return attack(connecting([...new Set(['127.0.0.1', ...addresses(stdout)])].map((address) => `${address}/${port}`)))
    },
  },
  {
    name: 'the server’s port',
    except: {
      local: 'it listens at a Unix socket, which has an attempt of its own',
      'ordinary-user': 'it listens at a Unix socket, which has an attempt of its own',
    },
    escape: async ({ beside, attack }) => {
      const listens = await beside.run(`tr '\\0' '\\n' < /proc/${beside.server.pid}/cmdline | grep -A 1 -x -e --listen | tail -n 1`)
      const port = Number(listens.trim().split(':').at(-1))
      const own = addresses(await beside.run(`ip -o addr show | awk '{print $4}' | cut -d/ -f1 | grep -v '^fe80'`))
      const gateway = addresses(await beside.run(`ip route show default | awk '{print $3}'`))
      return attack(connecting([...own, ...gateway].map((address) => `${address}/${port}`)))
    },
    // There, the server listens at a Unix socket: a listener stands for it.
    control: async (scene) => scene.attack(connecting([`127.0.0.1/${await listen(scene, '0.0.0.0')}`])),
  },
  {
    name: 'the address where a cloud hands out keys',
    ownNetwork: true,
    except: { 'ordinary-user': 'an ordinary user can put that address on no interface' },
    escape: async (scene) => {
      await scene.beside.run('ip address show dev lo | grep -q 169.254.169.254 || ip address add 169.254.169.254/32 dev lo')
      const port = await listen(scene, '169.254.169.254')
      return scene.attack(connecting([`169.254.169.254/${port}`]))
    },
  },
  {
    name: 'other addresses of the machine',
    ownNetwork: true,
    except: { 'ordinary-user': 'an ordinary user can put an address on no interface' },
    escape: async (scene) => {
      await scene.beside.run(
        'ip link show dummy7 > /dev/null 2>&1 || { ip link add dummy7 type dummy && ip link set dummy7 up && ip address add 10.77.7.7/24 dev dummy7; } || ip address replace 10.77.7.7/32 dev lo',
      )
      const port = await listen(scene, '10.77.7.7')
      return scene.attack(connecting([`10.77.7.7/${port}`]))
    },
  },
  {
    name: 'see and change the machine’s network',
    unless: sharedNetwork,
    escape: async ({ beside, attack }) => {
      const links = (await beside.run(`cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' | grep -v '^lo$' | tr '\\n' ' '`)).trim()
      const space = (await beside.run('readlink /proc/self/ns/net')).trim()
      return attack(`
        if [ "$(readlink /proc/self/ns/net)" = '${space}' ]; then got 'the same network namespace, with ${links}'; else held 'another network namespace'; fi`)
    },
  },
  {
    name: 'listen to what passes by (packet sockets)',
    unless: sharedNetwork,
    escape: async ({ beside, attack }) => {
      const links = (await beside.run(`readlink /proc/self/ns/net`)).trim()
      // One in a network of the slot's own hears nobody else.
      return attack(
        perl(
          `my ($space) = @ARGV; if (readlink('/proc/self/ns/net') ne $space) { held('another network') } elsif (socket(my $s, 17, 3, 0x0300)) { got('a packet socket') } else { held("$!") }`,
          links,
        ),
      )
    },
  },
]
