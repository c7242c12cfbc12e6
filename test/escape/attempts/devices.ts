import type { Attempt } from '../attempt.ts'
import { perl } from '../probe.ts'

/** Opens what /dev and /sys show: memory, disks, consoles and other tenants' terminals, and the settings of the machine's devices. */
const usual = 'null|zero|full|random|urandom|tty|ptmx|pts/ptmx'

export const attempts: Attempt[] = [
  {
    name: 'open a device beyond the usual',
    escape: ({ attack }) =>
      attack(
        perl(`
          my @todo = ('/dev');
          while (defined(my $folder = shift @todo)) {
            for my $path (glob "$folder/*") {
              next if -l $path; if (-d $path) { push @todo, $path; next }
              next if $path =~ m{^/dev/(${usual})$} || !(-c $path || -b $path);
              # A watchdog would bite who closes it.
              next if $path =~ /watchdog/;
              if (sysopen(my $f, $path, O_RDONLY | O_NONBLOCK | O_NOCTTY)) { got($path) } else { held("$path: $!") }
            }
          }
          held('looked');`),
      ),
  },
  {
    name: 'open a terminal of a neighbour or of the machine',
    escape: async ({ prepare, attack }) => {
      await prepare(
        `mkfifo ready; ${perl(`sysopen(my $m, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "ptmx: $!"; my $z = pack('i', 0); ioctl($m, 0x40045431, $z) or die "unlock: $!"; open(my $r, '>', 'ready'); print $r "r\\n"; close $r; sleep 600;`)} < /dev/null > log 2>&1 & read -r -t 10 _ 0<> ready || { cat log; exit 1; }`,
      )
      return attack(
        perl(`
          for my $path ('/dev/tty', '/dev/console', glob('/dev/tty[0-9]*'), glob('/dev/ttyS*'), glob('/dev/pts/[0-9]*')) {
            next unless -e $path;
            if (sysopen(my $f, $path, O_WRONLY | O_NONBLOCK | O_NOCTTY)) { got($path) } else { held("$path: $!") }
          }
          held('looked');`),
      )
    },
  },
  {
    name: 'see the machine by /sys',
    escape: ({ attack }) =>
      attack(
        `found=$(find /sys -mindepth 1 2> /dev/null | head -n 3); if [ -n "$found" ]; then got "$found"; else held '/sys is empty'; fi`,
      ),
  },
  {
    name: 'control groups open for writing',
    escape: ({ attack }) =>
      attack(
        perl(`
          for my $path (glob '/sys/fs/cgroup/{,*/,*/*/,*/*/*/}{release_agent,notify_on_release,cgroup.procs,tasks,memory.limit_in_bytes,memory.max,pids.max,cgroup.subtree_control,devices.allow,cpu.max,cpu.shares}') {
            next unless -e $path;
            if (sysopen(my $f, $path, O_WRONLY)) { got($path) } else { held("$path: $!") }
          }
          held('looked');`),
      ),
    controlNeedsRoot: 'they belong to root',
  },
]
