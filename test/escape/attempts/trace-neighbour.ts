import type { Attempt } from '../attempt.ts'
import { perl } from '../probe.ts'

/** Attaches to a neighbour's process, or reads its memory: it hands over all that the process has and may. */
const spy = (how: string, mark: string, outside: string): string =>
  perl(
    `my ($mark, @outside) = @ARGV;
     for my $folder (glob('/proc/[0-9]*'), map { "/proc/$_" } @outside) {
       my ($pid) = $folder =~ /(\\d+)/; $pid += 0; next if $pid == $$;
       my $words = ''; if (open(my $f, '<', "$folder/cmdline")) { local $/; $words = <$f> // '' }
       next unless $words =~ /^perl\\0.*victim \\Q$mark\\E/s;
       ${how}
     }
     held('looked');`,
    mark,
    ...outside.split(' '),
  )

const methods: [string, string][] = [
  // PTRACE_SEIZE stops nobody, and the end of the tracer lets go.
  ['trace a neighbour’s process', `tried("seize $pid", sys('ptrace', 0x4206, $pid, 0, 0));`],
  [
    'read a neighbour’s memory by /proc/*/mem',
    `if (open(my $m, '<', "$folder/mem")) { got("mem of $pid") } else { held("mem of $pid: $!") }`,
  ],
  [
    'read a neighbour’s memory by process_vm_readv',
    `open(my $maps, '<', "$folder/maps") or do { held("maps: $!"); next };
     my ($from) = (<$maps> // '') =~ /^([0-9a-f]+)-/ or do { held('no maps'); next };
     my $bytes = "\\0" x 16; my $own = pack('pQ', $bytes, 16); my $far = pack('QQ', hex($from), 16);
     tried("read $pid", sys('process_vm_readv', $pid, $own, 1, $far, 1, 0));`,
  ],
  [
    'take a neighbour’s open file by pidfd_getfd',
    `my $fd = sys('pidfd_open', $pid, 0); if ($fd < 0) { held("pidfd: $!"); next } tried("fd of $pid", sys('pidfd_getfd', $fd, 0, 0));`,
  ],
]

export const attempts: Attempt[] = methods.map(([name, how]) => ({
  name,
  escape: async ({ beside, mark, prepare, attack }) => {
    await prepare(
      `mkfifo ready; perl -e 'open(my $r, ">", "ready"); print $r "r\\n"; close $r; sleep 600; # victim ${mark}' < /dev/null > /dev/null 2>&1 & read -r _ < ready`,
    )
    const outside = await beside.run(`grep -l '[v]ictim ${mark}' /proc/[0-9]*/cmdline | cut -d/ -f3 | tr '\\n' ' '`)
    return attack(spy(how, mark, outside.trim()))
  },
}))
