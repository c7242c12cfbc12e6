import type { Attempt } from '../attempt.ts'
import { startBeside } from '../beside.ts'
import { perl } from '../probe.ts'
import { sharedNetwork } from '../shared-network.ts'

/** Reads what a neighbour keeps where no folder shows it: shared memory, queues, semaphores, keys, sockets without a file. */
const shared = (name: string, put: string, take: string): Attempt => ({
  name,
  escape: async ({ mark, prepare, attack, after, neighbour }) => {
    const key = Number.parseInt(mark.slice(-7), 16) | 1
    await prepare(perl(`my ($key, $mark) = @ARGV; $key += 0; ${put}`, String(key), mark))
    // What outlives its maker in the control is taken away; in a slot it goes with the slot.
    after(() =>
      neighbour.exec(
        perl(
          `my ($key, $mark) = @ARGV; $key += 0; my $m = sys('shmget', $key, 0, 0); sys('shmctl', $m, 0, 0) if $m >= 0; my $q = sys('msgget', $key, 0); sys('msgctl', $q, 0, 0) if $q >= 0; my $s = sys('semget', $key, 0, 0); sys('semctl', $s, 0, 0, 0) if $s >= 0; unlink "/dev/shm/$mark";`,
          String(key),
          mark,
        ),
      ),
    )
    return attack(perl(`my ($key, $mark) = @ARGV; $key += 0; ${take}`, String(key), mark))
  },
})

export const attempts: Attempt[] = [
  shared(
    'a neighbour’s shared memory (System V)',
    `my $m = sys('shmget', $key, 4096, 01000 | 0666); die "shmget: $!" if $m < 0; shmwrite($m, 'secret', 0, 6) or die $!;`,
    `my $m = tried('shmget', sys('shmget', $key, 0, 0)); if ($m >= 0) { my $b = ''; shmread($m, $b, 0, 6); got("it says $b") }`,
  ),
  shared(
    'a neighbour’s message queue (System V)',
    `my $q = sys('msgget', $key, 01000 | 0666); die "msgget: $!" if $q < 0; msgsnd($q, pack('l! a*', 1, 'secret'), 0) or die $!;`,
    `my $q = tried('msgget', sys('msgget', $key, 0));`,
  ),
  shared(
    'a neighbour’s semaphores (System V)',
    `sys('semget', $key, 1, 01000 | 0666) >= 0 or die "semget: $!";`,
    `my $s = tried('semget', sys('semget', $key, 0, 0));`,
  ),
  shared(
    'all of System V by listing',
    `sys('semget', $key, 1, 01000 | 0666) >= 0 or die "semget: $!";`,
    `for my $file (glob '/proc/sysvipc/*') { open(my $f, '<', $file) or next; while (<$f>) { got("$file: $_") if /^\\s*$key\\s/ } } held('looked');`,
  ),
  shared(
    'a neighbour’s message queue (POSIX)',
    `sys('mq_open', $mark, 0102, 0666, 0) >= 0 or die "mq_open: $!";`,
    `tried('mq_open', sys('mq_open', $mark, 0, 0, 0));`,
  ),
  shared(
    'a neighbour’s shared memory (/dev/shm)',
    `open(my $f, '>', "/dev/shm/$mark") or die $!; print $f 'secret'; close $f; chmod 0666, "/dev/shm/$mark";`,
    `if (open(my $f, '<', "/dev/shm/$mark")) { got(<$f>) } else { held("$!") }`,
  ),
  {
    name: 'a neighbour’s keys',
    escape: async ({ mark, prepare, attack }) => {
      // Into every keyring that a process may be given: its session's, its user's, its user's session's. Where keys are refused there are none.
      await prepare(
        perl(
          `my ($mark) = @ARGV; for my $ring (-3, -4, -5) { my $k = sys('add_key', 'user', $mark, 'secret', 6, $ring); sys('keyctl', 5, $k, 0x3f3f3f3f) if $k >= 0 }`,
          mark,
        ),
      )
      return attack(
        perl(
          `my ($mark) = @ARGV;
           for my $ring (-3, -4, -5) { tried("search $ring", sys('keyctl', 10, $ring, 'user', $mark, 0)); }
           my $k = sys('request_key', 'user', $mark, 0, 0); tried('request', $k);
           if (open(my $f, '<', '/proc/keys')) { while (<$f>) { got("listed: $_") if /\\Q$mark\\E/ } }`,
          mark,
        ),
      )
    },
  },
  ...(['neighbour', 'beside'] as const).map(
    (where): Attempt => ({
      unless: sharedNetwork,
      name: where === 'neighbour' ? 'a neighbour’s abstract socket' : 'an abstract socket beside the server',
      escape: async ({ mark, beside, prepare, attack, after }) => {
        const listens = (ready: string) =>
          `use Socket; my ($mark) = @ARGV; socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack('S a*', 1, "\\0$mark")) or die "bind: $!"; listen($s, 5); open(my $r, '>', ${ready}); print $r "r\\n"; close $r; sleep 600;`
        if (where === 'neighbour')
          await prepare(`mkfifo ready; ${perl(listens(`'ready'`), mark)} > /dev/null 2>&1 & read -r -t 10 _ 0<> ready`)
        else {
          const other = await startBeside(beside, `exec ${perl(listens('$ENV{READY}'), mark)}`)
          after(other.end)
        }
        return attack(
          perl(
            `use Socket; my ($mark) = @ARGV; socket(my $s, PF_UNIX, SOCK_STREAM, 0); if (connect($s, pack('S a*', 1, "\\0$mark"))) { got('connected') } else { held("$!") }
            if (open(my $f, '<', '/proc/net/unix')) { while (<$f>) { got("listed: $_") if /\\@\\Q$mark\\E/ } }`,
            mark,
          ),
        )
      },
    }),
  ),
]
