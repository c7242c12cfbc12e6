import { type EntryTerms, resourceLimitsText } from './entry-terms.ts'
import type { SlotIdentity } from './jail.ts'
import { systemCallTable } from './system-calls.ts'

/** Opens a namespace, or another file. */
export const openNamespace = `sub namespace { open(my $file, '<', $_[0]) or die "$_[0]: $!\\n"; $file }`

/** `limit` of Perl: the limits of the process, as `resourceLimitsText` gives them. */
export const limitProcess = `
sub limit {
  for (split /\\n/, $_[0]) { my ($resource, $value) = split /:/; call('prlimit', 0, $resource + 0, pack('QQ', $value, $value), 0) }
}`

/**
 * `give_up` of Perl: gives up every right but the slot's. Until then nothing in the slot may look into the process; afterwards it is, and all that
 * it starts are, under the slot's filter.
 */
export const giveUp = `
sub give_up {
  my (%of) = @_;
  # A session keyring of its own: that of whoever started the server is the same for all slots. Where keys are refused there are none.
  syscall($call{keyctl}, 1, 0);
  my %kept = map { $_ => 1 } split /,/, $of{kept};
  my ($low, $high) = (0, 0);
  for (keys %kept) { $_ < 32 ? ($low |= 1 << $_) : ($high |= 1 << ($_ - 32)) }
  for my $capability (0 .. 63) { syscall($call{prctl}, 24, $capability, 0, 0, 0) unless $kept{$capability} }
  if ($of{uid} ne '') { call('setresgid', ($of{gid} + 0) x 3); call('setresuid', ($of{uid} + 0) x 3) }
  call('capset', pack('LL', 0x20080522, 0), pack('L6', $low, $low, 0, $high, $high, 0));
  call('prctl', 38, 1, 0, 0, 0);
  call('prctl', 1, 9, 0, 0, 0);
  if ($of{filter} ne '') { call('seccomp', 1, 0, pack('Sx![P]P', length($of{filter}) / 8, $of{filter})) }
}`

/**
 * Brings a program into a slot. It is Perl because every step must happen in one process, after the tools of the system have been left behind
 * and before anything of the slot runs: in a slot `setpriv` and even the C library may have been replaced by its tenant. So this enters the
 * namespaces, gives up all rights but the slot's, and only then becomes the program.
 *
 * Its own part stays outside, waits, and ends as the program ended: with its exit code, or by its signal. When it is killed the program is,
 * too. Exit code 125 and a line on stderr say that the program was not begun.
 *
 * Arguments: see {@link entryCommand}.
 */
function entryProgram(): string {
  return `
use strict;
${systemCallTable()}
${openNamespace}
${limitProcess}
${giveUp}
my ($keeper, $outer, $view, $inner, $network, $uid, $gid, $kept, $filter, $join, $limits, $start, $anywhere) = splice @ARGV, 0, 13;
my @environment; while (@ARGV && (my $next = shift @ARGV) ne '--') { push @environment, $next }
$SIG{__DIE__} = sub { print STDERR "slotpool: $_[0]"; exit 125 };
call('prctl', 1, 9, 0, 0, 0);
call('prlimit', 0, 4, pack('QQ', 0, 0), 0);

my @outside = map { namespace($_) } $outer ne '' ? $outer : (), map { "/proc/$keeper/ns/$_" } 'ipc', 'uts', 'pid', $network eq 'own' ? 'net' : (), 'mnt';
my @inside = map { namespace($_) } $view ne '' ? $view : (), $inner ne '' ? $inner : ();
my @groups = map { open(my $file, '>', $_) or die "$_: $!\\n"; $file } split /\\n/, $join;
my $bytes = '';
if ($filter ne '') { local $/; my $file = namespace($filter); $bytes = <$file> }
call('setgroups', 0, 0) if $> == 0;
call('setns', fileno $_, 0) for @outside;

my $child = fork // die "fork: $!\\n";
if ($child) {
  close STDIN; close STDOUT; close STDERR; my $report; open($report, '>&=', 3) and close $report;
  1 while waitpid($child, 0) == -1 && $!{EINTR};
  # Perl ignores SIGFPE by itself. Node knows no real-time signals and would call one a success.
  $SIG{FPE} = 'DEFAULT';
  if (my $signal = $? & 127) { $SIG{__DIE__} = 'DEFAULT'; exit(128 + $signal) if $signal > 31; kill $signal, $$; sleep 1 }
  exit($? >> 8);
}

for my $group (@groups) { syswrite($group, '0') or die "control group: $!\\n" }
limit($limits);
call('setsid');
# Until it has become the program, nothing in the slot may look into it.
call('prctl', 4, 0, 0, 0, 0);
call('setns', fileno $_, 0) for @inside;
chdir $start or $anywhere or die "$start: $!\\n";
umask 022;
give_up(kept => $kept, uid => $uid, gid => $gid, filter => $bytes);
%ENV = map { /^(.*?)=(.*)$/s } @environment;
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n";
`
}

const script = entryProgram()

/** How a slot is entered. */
export interface SlotEntry {
  /** The process that keeps the slot: its PID, IPC, UTS and mount namespaces are entered, and its network namespace. */
  keeper: number
  /** A file of the user namespace that owns these, where this process has no rights over them otherwise. */
  outerUsers?: string
  /** A file of the mount namespace that the program sees, where it is not the keeper's. */
  view?: string
  /** A file of the user namespace that the program is in. */
  users?: string
  ownNetwork: boolean
  /** Who the program is run as. Default: root, or whoever it is in its user namespace. */
  identity?: SlotIdentity
  /** Numbers of the capabilities that the program has. */
  capabilities: readonly number[]
  /** A compiled seccomp filter. */
  filter: string | null
  /** The bash of commands where the slot has none in its usual places. Default: there is no other. */
  lastShell?: string
}

/** What {@link entryProgram} is told. */
interface EntryPlan extends SlotEntry {
  /** Where it starts. */
  workspace: string
  env: Readonly<Record<string, string>>
  terms: EntryTerms
}

/** The program and arguments that bring `program` into a slot. */
export function entryCommand(plan: EntryPlan, program: readonly string[]): { file: string; args: string[] } {
  const { terms } = plan
  return {
    file: 'perl',
    args: [
      ...['-e', script, '--', String(plan.keeper), plan.outerUsers ?? '', plan.view ?? '', plan.users ?? ''],
      ...[plan.ownNetwork ? 'own' : 'host', String(plan.identity?.uid ?? ''), String(plan.identity?.gid ?? '')],
      ...[plan.capabilities.join(','), plan.filter ?? '', (terms.joinFiles ?? []).join('\n')],
      ...[resourceLimitsText(terms), plan.workspace, terms.startsAnywhere ? 'anywhere' : ''],
      ...Object.entries(plan.env).map(([name, value]) => `${name}=${value}`),
      '--',
      ...program,
    ],
  }
}

/**
 * Makes a user namespace for commands below that of a slot: the slot's user, and nobody else, without the right to make another one. It
 * prints the process that holds it and waits for the end of stdin. Arguments: a process in the slot, the uid and the gid.
 */
export function innerUsersProgram(): string {
  return `
use strict;
${systemCallTable()}
${openNamespace}
my ($keeper, $uid, $gid) = @ARGV;
call('prctl', 1, 9, 0, 0, 0);
call('setns', fileno namespace("/proc/$keeper/ns/user"), 0);
pipe(my $made, my $say) or die;
my $child = fork // die "fork: $!\\n";
if ($child) {
  close $say; <$made> or exit 1;
  $| = 1; print "$child\\n"; <STDIN>; kill 9, $child; waitpid($child, 0); exit 0;
}
sub put { my ($file, $text) = @_; my $to; open($to, '>', $file) && syswrite($to, $text) or die "$file: $!\\n" }
call('prctl', 1, 9, 0, 0, 0);
call('unshare', 0x10000000);
put('/proc/self/setgroups', 'deny');
put('/proc/self/gid_map', "$gid 0 1");
put('/proc/self/uid_map', "$uid 0 1");
# Read-only in a container: there its seccomp filter, or that of the slot, sees to it.
eval { put('/proc/sys/user/max_user_namespaces', '0') };
syswrite($say, "made\\n"); sleep 60;
`
}
