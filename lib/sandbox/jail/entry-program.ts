import { slotCapabilityNumbers } from './capabilities.ts'

/** Numbers of system calls, by Node's name of the architecture (asm/unistd_64.h, asm-generic/unistd.h). */
const systemCalls: Partial<Record<NodeJS.Architecture, Record<string, number>>> = {
  x64: { setns: 308, prctl: 157, capset: 126, seccomp: 317, setgroups: 116, prlimit: 302, setsid: 112, pivotRoot: 155, umount: 166 },
  arm64: { setns: 268, prctl: 167, capset: 91, seccomp: 277, setgroups: 159, prlimit: 261, setsid: 157, pivotRoot: 41, umount: 39 },
}

/** `my %call = (…)` of Perl. @throws {RangeError} on an architecture whose system calls are not known here. */
function callTable(): string {
  const numbers = systemCalls[process.arch]
  if (!numbers) throw new RangeError(`got architecture ${process.arch}, expected x64 or arm64`)
  const entries = Object.entries(numbers).map(([name, number]) => `${name} => ${number}`)
  return `my %call = (${entries.join(', ')}); sub call { my $name = shift; syscall($call{$name}, @_) != -1 or die "$name: $!\\n" }`
}

/**
 * Brings a program into a slot that has a root filesystem of its own. It is Perl because every step must happen in one process, after the
 * tools of the system have been left behind and before anything of the slot runs: in a slot `setpriv` and even the C library may have been
 * replaced by its tenant. So this enters the namespaces, gives up all rights but the slot's, and only then becomes the program.
 *
 * Its own part stays outside, waits, and ends as the program ended: with its exit code, or by its signal. When it is killed the program is,
 * too. Exit code 125 and a line on stderr say that the program was not begun.
 *
 * Arguments: the process that keeps the slot, files of the mount and the user namespace for commands, `own` or `host` for its network, a compiled seccomp filter or nothing, files
 * that the program's process joins control groups by (a line each), its resource limits (`resource:value`, a line each), where it starts, `anywhere` if that may fail,
 * its environment (`NAME=value`), `--`, and the program.
 */
export function entryProgram(): string {
  return `
use strict;
${callTable()}
my ($keeper, $view, $users, $network, $filter, $join, $limits, $start, $anywhere) = splice @ARGV, 0, 9;
my @environment; while (@ARGV && (my $next = shift @ARGV) ne '--') { push @environment, $next }
$SIG{__DIE__} = sub { print STDERR "slotpool: $_[0]"; exit 125 };
call('prctl', 1, 9, 0, 0, 0);
call('prlimit', 0, 4, pack('QQ', 0, 0), 0);

sub namespace { open(my $file, '<', $_[0]) or die "$_[0]: $!\\n"; $file }
my %of = map { $_ => namespace("/proc/$keeper/ns/$_") } 'mnt', 'ipc', 'uts', 'pid', $network eq 'own' ? 'net' : ();
my $root = namespace($view);
call('setns', fileno $of{$_}, 0) for 'ipc', 'uts', 'pid', $network eq 'own' ? 'net' : (), 'mnt';
my $user = namespace($users);

my $bytes = '';
if ($filter ne '') { local $/; my $file = namespace($filter); $bytes = <$file> }

my $child = fork // die "fork: $!\\n";
if ($child) {
  close STDIN; close STDOUT; close STDERR; my $report; open($report, '>&=', 3) and close $report;
  1 while waitpid($child, 0) == -1 && $!{EINTR};
  if (my $signal = $? & 127) { $SIG{__DIE__} = 'DEFAULT'; kill $signal, $$; sleep 1 }
  exit($? >> 8);
}

for my $file (split /\\n/, $join) { my $group; open($group, '>', $file) && syswrite($group, '0') or die "$file: $!\\n" }
for (split /\\n/, $limits) { my ($resource, $value) = split /:/; call('prlimit', 0, $resource + 0, pack('QQ', $value, $value), 0) }
call('setgroups', 0, 0);
call('setsid');
call('setns', fileno $root, 0);
call('setns', fileno $user, 0);
chdir $start or $anywhere or die "$start: $!\\n";
umask 022;
my %kept = map { $_ => 1 } ${slotCapabilityNumbers.join(', ')};
my ($low, $high) = (0, 0);
for (keys %kept) { $_ < 32 ? ($low |= 1 << $_) : ($high |= 1 << ($_ - 32)) }
for my $capability (0 .. 63) { syscall($call{prctl}, 24, $capability, 0, 0, 0) unless $kept{$capability} }
call('capset', pack('LL', 0x20080522, 0), pack('L6', $low, $low, 0, $high, $high, 0));
call('prctl', 38, 1, 0, 0, 0);
call('prctl', 1, 9, 0, 0, 0);
if ($bytes ne '') { call('seccomp', 1, 0, pack('Sx![P]P', length($bytes) / 8, $bytes)) }
%ENV = map { /^(.*?)=(.*)$/s } @environment;
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n";
`
}

/** Makes the folder that it is started in the root of its mount namespace and lets go of the one before; says its process id, and waits. */
export function pivotProgram(): string {
  return `${callTable()} my $pid = readlink '/proc/self'; my $here = '.'; call('pivotRoot', $here, $here); call('umount', $here, 2); chdir '/'; $| = 1; print "$pid\\n"; <STDIN>`
}
