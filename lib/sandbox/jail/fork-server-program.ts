import { toolPath } from '../tool-path.ts'
import { enterSlot, openNamespace } from './entry-program.ts'
import { systemCallTable } from './system-calls.ts'

/**
 * Stands at the door of one slot and forks a process into it for each command, where starting a program would be waited for. It has entered
 * the PID namespace for its children alone, so that the slot can neither see nor signal it; the rest is entered, and every right but
 * the slot's given up, by each child ({@link enterSlot}), which then becomes the slot's own bash.
 *
 * A request on stdin is the decimal count of its bytes, a newline and fields ended by NUL: a number of the request; the pipes for stdout and,
 * where it has one of its own, for stderr; the working directory, as it was given and
 * by its name without detours; the files of control groups to join; limits of the process; the command;
 * entries of the environment. It answers `begun NUMBER PROCESS` and `ended NUMBER STATUS WHY`, the status being that of wait(2) and the
 * reason empty when the command was begun, else `no-cwd …`, `too-long` or `failed …`. With stdin it ends, and its children with it.
 *
 * Arguments: see `ForkServer`.
 */
export function forkServerProgram(): string {
  return `
use strict;
${systemCallTable()}
${openNamespace}
${enterSlot}
my ($keeper, $outer, $view, $inner, $network, $uid, $gid, $kept, $filter) = @ARGV;
call('prctl', 1, 9, 0, 0, 0);
call('prlimit', 0, 4, pack('QQ', 0, 0), 0);
my $users = $outer ne '' ? namespace($outer) : undef;
my $processes = namespace("/proc/$keeper/ns/pid");
my @outside = map { namespace("/proc/$keeper/ns/$_") } 'ipc', 'uts', $network eq 'own' ? 'net' : (), 'mnt';
my @inside = map { namespace($_) } $view ne '' ? $view : (), $inner ne '' ? $inner : ();
my $bytes = '';
if ($filter ne '') { local $/; my $file = namespace($filter); $bytes = <$file> }
call('setgroups', 0, 0) if $> == 0;
call('setns', fileno $users, 0) if $users;
call('setns', fileno $processes, 0);
# Ends of children are read from a descriptor: a handler that Perl calls between two steps could come just before it waits, and be too late.
my $ends = pack('Q', 1 << 16);
call('sigprocmask', 0, $ends, 0, 8);
open(my $told, '<&=', call('signalfd', -1, $ends, 8, 0x80000)) or die "signalfd: $!\\n";
my %of;
sub answer {
  my $rest = "$_[0]\\n";
  while ($rest ne '') { my $count = syswrite(STDOUT, $rest); if (defined $count) { substr($rest, 0, $count, '') } elsif (!$!{EINTR}) { exit 1 } }
}
sub reap {
  while ((my $pid = waitpid(-1, 1)) > 0) {
    my $status = $?;
    my ($number, $hear) = @{delete $of{$pid} // next};
    my $said = '';
    sysread($hear, $said, 8192);
    $said =~ tr/\\n/ /;
    answer("ended $number $status $said");
  }
}

# As bash's cd: what comes before \`..\` must be a folder, and is left by its name; where there is no such place, by where it led to.
sub go {
  my ($cwd, $named) = @_;
  if ("$cwd/" =~ m{/\\.\\./}) {
    my $folders = 1;
    while ($cwd =~ m{(?=/\\.\\.(?:/|\\z))}g) { $folders &&= pos($cwd) == 0 || -d substr($cwd, 0, pos $cwd) }
    return $named if $folders && chdir $named;
    return chdir $cwd ? '' : undef;
  }
  return chdir $cwd ? $named : undef;
}

sub command {
  my ($say, $stdout, $stderr, $cwd, $named, $join, $limits, $command, @environment) = @_;
  call('sigprocmask', 1, $ends, 0, 8);
  $SIG{__DIE__} = sub { syswrite($say, "failed $_[0]"); exit 125 };
  call('prctl', 1, 9, 0, 0, 0);
  my @groups = map { open(my $file, '>', $_) or die "$_: $!\\n"; $file } split /\\n/, $join;
  sysopen(my $out, $stdout, 1) or die "stdout: $!\\n";
  my $err;
  if ($stderr eq '') { $err = $out } else { sysopen($err, $stderr, 1) or die "stderr: $!\\n" }
  open(STDIN, '<', '/dev/null') and open(STDOUT, '>&', $out) and open(STDERR, '>&', $err) or die "its streams: $!\\n";
  for my $group (@groups) { syswrite($group, '0') or die "control group: $!\\n" }
  call('setns', fileno $_, 0) for @outside;
  enter_slot(limits => $limits, inside => \\@inside, kept => $kept, uid => $uid, gid => $gid, filter => $bytes);
  my $here = go($cwd, $named);
  unless (defined $here) { syswrite($say, "no-cwd $cwd: $!"); exit 125 }
  %ENV = map { /^(.*?)=(.*)$/s } @environment, $here eq '' ? () : "PWD=$here";
  my ($bash) = grep { -f && -x } map { "$_/bash" } split /:/, '${toolPath}';
  $bash // die "bash: No such file in ${toolPath}\\n";
  exec { $bash } $bash, '-c', '--', $command, 'bash' or do { syswrite($say, $!{E2BIG} ? 'too-long' : "failed $bash: $!"); exit 125 };
}

answer('ready');
my $input = '';
while (1) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for fileno(STDIN), fileno($told);
  select($ready, undef, undef, undef) > 0 or next;
  if (vec($ready, fileno($told), 1)) { sysread($told, my $signals, 4096); reap() }
  next unless vec($ready, fileno(STDIN), 1);
  sysread(STDIN, $input, 65536, length $input) or last;
  while ($input =~ /\\A(\\d+)\\n/ && length($input) >= length($1) + 1 + $1) {
    my $fields = substr($input, length($1) + 1, $1);
    substr($input, 0, length($1) + 1 + $1, '');
    my ($number, @request) = map { s/\\0\\z//r } $fields =~ /[^\\0]*\\0/g;
    pipe(my $hear, my $say) or do { answer("ended $number 32000 failed pipe: $!"); next };
    my $pid = fork;
    if (!defined $pid) { answer("ended $number 32000 failed fork: $!"); next }
    command($say, @request) if !$pid;
    close $say;
    $of{$pid} = [$number, $hear];
    answer("begun $number $pid");
  }
}
`
}
