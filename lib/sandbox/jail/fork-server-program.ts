import { toolPath } from '../tool-path.ts'
import { giveUp, limitProcess, openNamespace } from './entry-program.ts'
import { systemCallTable } from './system-calls.ts'

/** The first field of a request to {@link forkServerProgram}. */
export type ForkServerRequest = 'fork' | 'prepare' | 'run' | 'resume' | 'drop'

/** What stands in the place of a command that has yet to come. */
export const placeholder = '# waits for the next command'

/**
 * Stands in the door of one slot and forks a process into it for each command, where starting a program would be waited for. It has entered
 * the PID namespace for its children alone, so that the slot can neither see nor signal it. All else it has entered itself, and has given up every
 * right but the slot's: a child has that behind it, and becomes the slot's own bash. Where commands have a user of their own, each child gives
 * up the rest. The server's files are reached from a folder that it has open, and nothing of the slot is run by it.
 *
 * A bash may also be made ready for a command that has yet to come. It is started as for any command, with as much room among its arguments
 * as the command may need. Through `BASH_ENV` it finds its way to a pipe, from which it reads what there is to do before its command: it says
 * that it waits, waits until it is woken through another pipe, and then reads what is left to be set from a file. Its number there tells it that
 * it was meant: woken by anybody else, it ends. What is in its memory by then, and in that file, is `PreparedShell`'s to see to: it is
 * `bash -c -- COMMAND bash` to all who look. The last it does before its command is to say that it goes on. One that ended without having said
 * so, since its folder or bash itself was replaced while it waited, or somebody ended it, has not begun its command, which can be run as any
 * other then.
 *
 * A request on stdin is the decimal count of its bytes, a newline and fields ended by NUL: what is asked for, a number, and with
 *
 * - `fork`: the pipes for stdout and, where it has one of its own, for stderr; the working directory, as it was given and by its name without
 *   detours; the files of control groups to join; limits of the process; the command; entries of the environment. It answers
 *   `begun NUMBER PROCESS` and `ended NUMBER STATUS WHY`, the status being that of wait(2) and the reason empty when the command was begun,
 *   else `no-cwd …`, `too-long` or `failed …`.
 * - `prepare`: the same, but instead of the command the pipe by which it will be woken, the file that it will read then, and the bytes of room
 *   for the command. It answers `waits NUMBER PROCESS`; then `ended` as above, or `lost NUMBER` when the shell ended before it had begun a command.
 * - `run`: the last entry of the environment and the command, for a shell that is lost, or to be ended for it. They are run as with `fork`.
 * - `resume`: nothing. A shell that has not begun its command goes on, should its slot have stopped it.
 * - `drop`: nothing. The shell is ended; it answers `ended`.
 *
 * With stdin it ends, and its children with it.
 *
 * Arguments: see `ForkServer`.
 */
export function forkServerProgram(): string {
  return `
use strict;
${systemCallTable()}
${openNamespace}
${limitProcess}
${giveUp}
my ($keeper, $outer, $view, $inner, $network, $uid, $gid, $kept, $filter, $last) = @ARGV;
# Its children are born with it, in view of the slot.
$0 = 'slotpool-fork';
call('prctl', 1, 9, 0, 0, 0);
call('prlimit', 0, 4, pack('QQ', 0, 0), 0);
my $machine = namespace('/');
my $users = $outer ne '' ? namespace($outer) : undef;
my $processes = namespace("/proc/$keeper/ns/pid");
my @outside = map { namespace("/proc/$keeper/ns/$_") } 'ipc', 'uts', $network eq 'own' ? 'net' : (), 'mnt';
my @inside = map { namespace($_) } $view ne '' ? $view : (), $inner ne '' ? $inner : ();
my $bytes = '';
if ($filter ne '') { local $/; my $file = namespace($filter); $bytes = <$file> }
my @rights = (kept => $kept, uid => $uid, gid => $gid, filter => $bytes);
call('setgroups', 0, 0) if $> == 0;
# Nothing in the slot may look into it, nor into a child that has yet to become bash.
call('prctl', 4, 0, 0, 0, 0);
call('setns', fileno $_, 0) for $users // (), $processes, @outside, @inside;
call('prctl', 4, 0, 0, 0, 0);
umask 022;
if ($uid eq '') { give_up(@rights) } else { call('prctl', 1, 9, 0, 0, 0) }
close $_ for $users // (), $processes, @outside, @inside;
# Ends of children are read from a descriptor: a handler that Perl calls between two steps could come just before it waits, and be too late.
my $ends = pack('Q', 1 << 16);
call('sigprocmask', 0, $ends, 0, 8);
$SIG{PIPE} = 'IGNORE';
open(my $told, '<&=', call('signalfd', -1, $ends, 8, 0x80000)) or die "signalfd: $!\\n";
my ($write_only, $nonblocking, $close_on_exec, $inherited, $get_status, $set_status, $set_descriptor) = (1, 2048, 0x80000, 0, 3, 4, 2);
my @places = ((map { "$_/bash" } split /:/, '${toolPath}'), $last ne '' ? $last : ());
# Children by their process; shells that were prepared, and those of them that have yet to say something, by number.
my (%of, %prepared, %starting);
sub answer {
  my $rest = "$_[0]\\n";
  while ($rest ne '') { my $count = syswrite(STDOUT, $rest); if (defined $count) { substr($rest, 0, $count, '') } elsif (!$!{EINTR}) { exit 1 } }
}

# A file of the server's, which is not in view any more.
sub reach {
  my ($path, $flags) = @_;
  my $descriptor = syscall($call{openat}, fileno $machine, $path =~ s{^/+}{}r, $flags | $close_on_exec, 0);
  die "$path: $!\\n" if $descriptor < 0;
  open(my $file, $flags & $write_only ? '>&=' : '<&=', $descriptor) or die "$path: $!\\n";
  $file
}
# Before there is a process to write: until then a reader would take the last writer's end for the end.
sub output { my $file = reach($_[0], $write_only | $nonblocking); fcntl($file, $set_status, 0) or die "$_[0]: $!\\n"; $file }
# Most of them are those of the last command.
my %groups;
sub groups { %groups = () if keys %groups > 64; map { $groups{$_} //= reach($_, $write_only) } split /\\n/, $_[0] }
# A shell that waits is in reach of its slot, and so are its ends of pipes: nothing is waited for on ours.
sub no_wait { my ($file) = @_; fcntl($file, $set_status, fcntl($file, $get_status, 0) | $nonblocking); $file }

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

# In the child. $shell gives the environment's last entry and the arguments, once the slot's bash is known.
sub become {
  my ($say, $of, $shell) = @_;
  $SIG{__DIE__} = sub { syswrite($say, "failed $_[0]"); exit 125 };
  call('prctl', 1, 9, 0, 0, 0);
  open(STDIN, '<&', reach('/dev/null', 0)) and open(STDOUT, '>&', $of->{out}) and open(STDERR, '>&', $of->{err} || $of->{out}) or die "its streams: $!\\n";
  # A working folder may be named by its descriptor.
  close $machine;
  for my $group (@{$of->{groups}}) { syswrite($group, '0') or die "control group: $!\\n" }
  limit($of->{limits});
  call('setsid');
  give_up(@rights) if $uid ne '';
  my $here = go($of->{cwd}, $of->{named});
  unless (defined $here) { syswrite($say, "no-cwd $of->{cwd}: $!"); exit 125 }
  my ($at) = grep { -f $places[$_] && -x _ } 0 .. $#places;
  my $bash = $places[$at // die "bash: No such file in ${toolPath}\\n"];
  my ($entry, @arguments) = $shell->($bash, @places[0 .. $at - 1]);
  my @environment = (@{$of->{environment}}, $entry);
  push @environment, "PWD=$here" if $here ne '' && !grep { s/^PWD=.*/PWD=$here/s } @environment;
  # Perl ignores SIGFPE by itself, but for what its own exec begins.
  $SIG{$_} = 'DEFAULT' for 'PIPE', 'FPE';
  call('sigprocmask', 1, $ends, 0, 8);
  # Perl's own exec would set each entry of the environment for itself before.
  syscall($call{execve}, $bash, pack('p*', $bash, @arguments, undef), pack('p*', @environment, undef));
  syswrite($say, $!{E2BIG} ? 'too-long' : "failed $bash: $!");
  exit 125;
}

# What a child needs of the server's: opened once, before it is there.
sub open_files {
  my ($of) = @_;
  @$of{'out', 'err'} = map { ref $_ || $_ eq '' ? $_ : output($_) } @$of{'out', 'err'};
  $of->{groups} = [groups($of->{join})];
}

sub begin {
  my ($number, $of, $entry, $command) = @_;
  pipe(my $hear, my $say) or return answer("ended $number 32000 failed pipe: $!");
  eval { open_files($of); 1 } or return answer("ended $number 32000 failed $@" =~ s/\\n//gr);
  my $pid = fork;
  return answer("ended $number 32000 failed fork: $!") if !defined $pid;
  if (!$pid) {
    # It is in view of the slot before it has become bash.
    $0 = 'bash';
    become($say, $of, sub { $entry, '-c', '--', $command, 'bash' });
  }
  $of{$pid} = { number => $number, hear => no_wait($hear) };
  answer("begun $number $pid");
}

sub prepare {
  my ($number, $of, $wake, $file, $room, $length) = @_;
  my $one = $prepared{$number} = { of => $of };
  my $fit = eval {
    open_files($of);
    # Whether or not somebody has it open for writing at this moment.
    my $woken = reach($wake, $nonblocking);
    fcntl($woken, $set_status, 0) or die "$wake: $!\\n";
    my $rest = reach($file, 0);
    pipe(my $script, my $write) && pipe($one->{hear}, my $say) or die "pipe: $!\\n";
    no_wait($one->{hear});
    my $pid = fork // die "fork: $!\\n";
    if (!$pid) {
      $0 = 'bash -c -- ${placeholder} bash';
      become($say, $of, sub {
        my ($bash, @before) = @_;
        # Whatever its tenant has put there instead is run for a command, and for nothing else.
        my $magic = '';
        sysread(namespace($bash), $magic, 4) && $magic eq "\\x7fELF" or die "$bash: no program\\n";
        fcntl($_, $set_descriptor, $inherited) for $script, $woken, $rest, $say;
        my ($first, $second, $third, $fourth) = map { fileno $_ } $script, $woken, $rest, $say;
        my $same = join ' && ', '. -ef $PWD', '$BASH -ef /proc/$$/exe', map { "! -f $_" } @before;
        syswrite($write, "echo >&$fourth; exec $first<&-; read -r -u $second BASH_ENV; exec $second<&-; . /proc/self/fd/$third $number && exit; exec $third<&-; "
          . "[[ $same ]] || exit; echo go >&$fourth; exec $fourth>&-; : \\"\\$BASH\\"\\n");
        my $path = "proc/self/fd/$first";
        'BASH_ENV=' . '/' x ($length - 9 - length $path) . $path, '-c', '--', '${placeholder}' . ' ' x ($room - ${placeholder.length}), 'bash';
      });
    }
    $one->{pid} = $pid;
    $of{$pid} = { number => $number, hear => $one->{hear}, prepared => $one };
    $starting{fileno $one->{hear}} = $one;
    $one->{number} = $number;
    1;
  };
  over($number, $one) if !$fit;
}

# It has ended, or never was, without having begun a command.
sub over {
  my ($number, $one) = @_;
  $one->{over} = 1;
  if ($one->{dropped}) { delete $prepared{$number}; answer("ended $number 9 ") }
  elsif ($one->{instead}) { delete $prepared{$number}; begin($number, $one->{of}, @{$one->{instead}}) }
  else { answer("lost $number") }
}

sub listens {
  my ($one) = @_;
  delete $starting{fileno $one->{hear}};
  my $said = '';
  sysread($one->{hear}, $said, 8192);
  answer("waits $one->{number} $one->{pid}") if $said =~ /^\\n/;
}

sub run {
  my ($number, @command) = @_;
  my $one = $prepared{$number} // return;
  $one->{instead} = \\@command;
  if ($one->{over}) { over($number, $one) } else { kill 'KILL', $one->{pid} }
}

sub resume {
  my ($number) = @_;
  my $one = $prepared{$number} // return;
  return if $one->{over};
  my $goes = '';
  vec($goes, fileno $one->{hear}, 1) = 1;
  kill 'CONT', $one->{pid} unless select($goes, undef, undef, 0) > 0;
}

sub drop {
  my ($number) = @_;
  my $one = $prepared{$number} // return;
  $one->{dropped} = 1;
  if ($one->{over}) { over($number, $one) } else { kill 'KILL', $one->{pid} }
}

sub reap {
  while ((my $pid = waitpid(-1, 1)) > 0) {
    my $status = $?;
    my $of = delete $of{$pid} // next;
    my $number = $of->{number};
    my $said = '';
    sysread($of->{hear}, $said, 8192);
    if (my $one = $of->{prepared}) {
      delete $starting{fileno $of->{hear}};
      # Its slot can write there, too: a line that it adds makes nobody run a command again.
      if ($said !~ /^go$/m) { over($number, $one); next }
      delete $prepared{$number};
      $said = '';
    }
    $said =~ tr/\\n/ /;
    answer("ended $number $status $said");
  }
}

answer('ready');
my $input = '';
while (1) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for fileno(STDIN), fileno($told), keys %starting;
  next if select($ready, undef, undef, undef) <= 0;
  if (vec($ready, fileno($told), 1)) { sysread($told, my $signals, 4096); reap() }
  for my $file (keys %starting) { listens($starting{$file}) if defined $starting{$file} && vec($ready, $file, 1) }
  next unless vec($ready, fileno(STDIN), 1);
  sysread(STDIN, $input, 65536, length $input) or last;
  while ($input =~ /\\A(\\d+)\\n/ && length($input) >= length($1) + 1 + $1) {
    my $fields = substr($input, length($1) + 1, $1);
    substr($input, 0, length($1) + 1 + $1, '');
    my ($what, $number, @rest) = map { s/\\0\\z//r } $fields =~ /[^\\0]*\\0/g;
    if ($what eq 'run') { run($number, @rest); next }
    if ($what eq 'resume') { resume($number); next }
    if ($what eq 'drop') { drop($number); next }
    my %of;
    @of{qw(out err cwd named join limits)} = splice @rest, 0, 6;
    my @command = splice @rest, 0, $what eq 'prepare' ? 3 : 1;
    my $entry = pop @rest;
    $of{environment} = \\@rest;
    if ($what eq 'prepare') { prepare($number, \\%of, @command, length $entry) } else { begin($number, \\%of, $entry, @command) }
  }
}
`
}
