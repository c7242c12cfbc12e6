import { toolPath } from '../tool-path.ts'
import { enterSlot, openNamespace } from './entry-program.ts'
import { systemCallTable } from './system-calls.ts'

/** The first field of a request to {@link forkServerProgram}. */
export type ForkServerRequest = 'fork' | 'prepare' | 'run' | 'drop'

/** What stands in the place of a command that has yet to come. */
const placeholder = '# waits for the next command'

/**
 * Stands at the door of one slot and forks a process into it for each command, where starting a program would be waited for. It has entered
 * the PID namespace for its children alone, so that the slot can neither see nor signal it; the rest is entered, and every right but
 * the slot's given up, by each child ({@link enterSlot}), which then becomes the slot's own bash.
 *
 * A bash may also be made ready for a command that has yet to come. It is started as for any command, with as much room among its arguments
 * as the command may need, and finds its way through `BASH_ENV` to a pipe from which it reads what is left to be set. When the command comes, it
 * is written over that room in the memory of the shell, and the id of the execution over the entry of `BASH_ENV` in its environment, before
 * the shell reads on: so it is `bash -c -- COMMAND bash` to all who look. The last it does before its command is to say that it goes on. One that
 * ended without having said so, since its folder or bash itself was replaced while it waited, or somebody ended it, has not begun its
 * command, which is forked as any other then.
 *
 * A request on stdin is the decimal count of its bytes, a newline and fields ended by NUL: what is asked for, a number, and with
 *
 * - `fork`: the pipes for stdout and, where it has one of its own, for stderr; the working directory, as it was given and by its name without
 *   detours; the files of control groups to join; limits of the process; the command; entries of the environment. It answers
 *   `begun NUMBER PROCESS` and `ended NUMBER STATUS WHY`, the status being that of wait(2) and the reason empty when the command was begun,
 *   else `no-cwd …`, `too-long` or `failed …`.
 * - `prepare`: the same, but instead of the command the bytes of room for it, and the last entry of the environment is as long as the one that
 *   will take its place. It answers `begun` as above, `lost NUMBER` when the shell has ended before its command came, and `unfit NUMBER WHY`
 *   where shells cannot be made ready in this slot.
 * - `run`: the last entry of the environment and the command, for a shell that was prepared under that number. It answers as `fork`; `begun`
 *   only when that is another process.
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
# A shell that has ended does not read what it is told.
$SIG{PIPE} = 'IGNORE';
open(my $told, '<&=', call('signalfd', -1, $ends, 8, 0x80000)) or die "signalfd: $!\\n";
my ($nonblocking, $inherited, $get_status, $set_status, $set_descriptor) = (2048, 0, 3, 4, 2);
# Commands by their process; shells that wait, and those that are not so far, by number.
my (%of, %waiting, %starting);
# Shells to be made ready when nothing else is to be done, or the commands take their time: to start one would keep the end of a short one waiting.
my @later;
sub answer {
  my $rest = "$_[0]\\n";
  while ($rest ne '') { my $count = syswrite(STDOUT, $rest); if (defined $count) { substr($rest, 0, $count, '') } elsif (!$!{EINTR}) { exit 1 } }
}
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

# Before there is a process to write: until then a reader would take the last writer's end for the end.
sub output {
  my ($path) = @_;
  sysopen(my $file, $path, 1 | $nonblocking) or die "$path: $!\\n";
  fcntl($file, $set_status, 0) or die "$path: $!\\n";
  $file
}

# In the child. $shell gives the environment's last entry and the arguments, once the slot's bash is known.
sub become {
  my ($say, $out, $err, $of, $shell) = @_;
  (%waiting, %of) = ();
  call('sigprocmask', 1, $ends, 0, 8);
  $SIG{PIPE} = 'DEFAULT';
  $SIG{__DIE__} = sub { syswrite($say, "failed $_[0]"); exit 125 };
  call('prctl', 1, 9, 0, 0, 0);
  my @groups = map { open(my $file, '>', $_) or die "$_: $!\\n"; $file } split /\\n/, $of->{join};
  open(STDIN, '<', '/dev/null') and open(STDOUT, '>&', $out) and open(STDERR, '>&', $err) or die "its streams: $!\\n";
  for my $group (@groups) { syswrite($group, '0') or die "control group: $!\\n" }
  call('setns', fileno $_, 0) for @outside;
  enter_slot(limits => $of->{limits}, inside => \\@inside, kept => $kept, uid => $uid, gid => $gid, filter => $bytes);
  my $here = go($of->{cwd}, $of->{named});
  unless (defined $here) { syswrite($say, "no-cwd $of->{cwd}: $!"); exit 125 }
  my @places = map { "$_/bash" } split /:/, '${toolPath}';
  my ($at) = grep { -f $places[$_] && -x _ } 0 .. $#places;
  my $bash = $places[$at // die "bash: No such file in ${toolPath}\\n"];
  my ($entry, @arguments) = $shell->($bash, @places[0 .. $at - 1]);
  %ENV = map { /^(.*?)=(.*)$/s } @{$of->{environment}}, $entry, $here eq '' ? () : "PWD=$here";
  exec { $bash } $bash, @arguments or do { syswrite($say, $!{E2BIG} ? 'too-long' : "failed $bash: $!"); exit 125 };
}

sub begin {
  my ($number, $of, $entry, $command) = @_;
  pipe(my $hear, my $say) or return answer("ended $number 32000 failed pipe: $!");
  my ($out, $err) = eval { map { ref $_ || $_ eq '' ? $_ : output($_) } @$of{'out', 'err'} };
  return answer("ended $number 32000 failed $@" =~ s/\\n//gr) if $@;
  my $pid = fork;
  return answer("ended $number 32000 failed fork: $!") if !defined $pid;
  if (!$pid) {
    # It is in view of the slot before it has become bash.
    $0 = 'bash';
    become($say, $out, $err eq '' ? $out : $err, $of, sub { $entry, '-c', '--', $command, 'bash' });
  }
  $of{$pid} = { number => $number, hear => no_wait($hear) };
  answer("begun $number $pid");
}

sub prepare {
  my ($number, $room, $length) = @_;
  my $one = $waiting{$number} // return;
  my $of = $one->{of};
  delete $one->{later};
  return if eval {
    my ($out, $err) = @$of{'out', 'err'} = map { $_ eq '' ? '' : output($_) } @$of{'out', 'err'};
    pipe(my $script, my $write) && pipe(my $rest, $one->{tell}) && pipe($one->{hear}, my $say) or die "pipe: $!\\n";
    no_wait($_) for @$one{'tell', 'hear'};
    my $pid = fork // die "fork: $!\\n";
    if (!$pid) {
      $0 = 'bash -c -- ${placeholder} bash';
      become($say, $out, $err eq '' ? $out : $err, $of, sub {
        my ($bash, @before) = @_;
        # Whatever its tenant has put there instead is run for a command, and for nothing else.
        my $magic = '';
        sysread(namespace($bash), $magic, 4) && $magic eq "\\x7fELF" or die "$bash: no program\\n";
        fcntl($_, $set_descriptor, $inherited) for $script, $rest, $say;
        my ($first, $second, $third) = map { fileno $_ } $script, $rest, $say;
        my $same = join ' && ', '. -ef $PWD', '$BASH -ef /proc/$$/exe', map { "! -f $_" } @before;
        syswrite($write, "echo >&$third; exec $first<&-; . /proc/self/fd/$second; exec $second<&-; "
          . "[[ $same ]] || exit; echo go >&$third; exec $third>&-; : \\"\\$BASH\\"\\n");
        my $file = "proc/self/fd/$first";
        'BASH_ENV=' . '/' x ($length - 9 - length $file) . $file, '-c', '--', '${placeholder}' . ' ' x ($room - ${placeholder.length}), 'bash';
      });
    }
    @$one{'pid', 'room'} = ($pid, $room);
    $of{$pid} = { number => $number, hear => $one->{hear}, waits => 1 };
    $starting{fileno $one->{hear}} = $number;
    answer("begun $number $pid");
    1;
  };
  $one->{over} = 1;
}

sub memory { my ($file, $from, $to) = @_; sysseek($file, $from, 0) && sysread($file, my $read, $to - $from) or die "memory: $!\\n"; $read }
sub overwrite {
  my ($file, $at, $text) = @_;
  sysseek($file, $at, 0) or return;
  (syswrite($file, $text) // -1) == length $text;
}

# Says whether it listens now: its command can be put where it will look for it.
sub listens {
  my ($number) = @_;
  my $one = $waiting{$number} // return;
  delete $starting{fileno $one->{hear}};
  my $said = '';
  $one->{over} = 1 if !sysread($one->{hear}, $said, 8192) || $said !~ /^\\n/;
  return hand_over($number) if $one->{over};
  my $fit = eval {
    open(my $file, '<', "/proc/$one->{pid}/stat") or die "stat: $!\\n";
    my ($args, $args_end, $env, $env_end) = (split / /, <$file> =~ s/.*\\) //r)[45 .. 48];
    open($one->{memory}, '+<:raw', "/proc/$one->{pid}/mem") or die "memory: $!\\n";
    my $room = '${placeholder}' . ' ' x ($one->{room} - ${placeholder.length}) . "\\0bash\\0";
    my $at = index(memory($one->{memory}, $args, $args_end), $room);
    my $entry = index("\\0" . memory($one->{memory}, $env, $env_end), "\\0BASH_ENV=");
    die "its arguments are not where they should be\\n" if $at < 0 || $entry < 0;
    @$one{'at', 'entry'} = ($args + $at, $env + $entry);
    place($one, '${placeholder}') or die "memory: $!\\n";
  };
  if (!$fit) { answer("unfit $number $@" =~ s/\\n//gr); $one->{over} = 1; kill 'KILL', $one->{pid} }
  $one->{ready} = $of{$one->{pid}}{arrived} = 1;
  hand_over($number) if $one->{command};
}

# Over the room that was kept for it, and what is left of that filled up.
sub place { my ($one, $command) = @_; overwrite($one->{memory}, $one->{at}, "$command\\0bash\\0" . "\\0" x ($one->{room} - length $command)) }

# What it holds of the fork server's descriptors is closed when it says something, or has become bash.
sub on_its_way {
  my ($of) = @_;
  return 0 if $of->{arrived};
  my $heard = '';
  vec($heard, fileno $of->{hear}, 1) = 1;
  $of->{arrived} = select($heard, undef, undef, 0) > 0;
  !$of->{arrived}
}

sub run {
  my ($number, @command) = @_;
  my $one = $waiting{$number} // return;
  $one->{command} = \\@command;
  $one->{over} = 1 if $one->{later};
  # Its slot may have stopped it; or another on its way, which has yet to let go of its end of the pipe that is read to its end.
  kill 'CONT', $one->{pid} if !$one->{over};
  kill 'CONT', grep { on_its_way($of{$_}) } keys %of;
  hand_over($number) if $one->{ready} || $one->{over};
}

sub hand_over {
  my ($number) = @_;
  my $one = $waiting{$number};
  my ($entry, $command) = @{$one->{command} // return};
  delete $waiting{$number};
  if (!$one->{over}) {
    my $set = "unset BASH_ENV\\nexport $entry\\nSECONDS=0\\nBASH_EXECUTION_STRING='" . $command =~ s/'/'\\\\''/gr . "'\\n";
    my $told = place($one, $command) && overwrite($one->{memory}, $one->{entry}, $entry) && (syswrite($one->{tell}, $set) // -1) == length $set;
    if ($told) { $of{$one->{pid}} = { arrived => 1, number => $number, hear => $one->{hear}, again => [$number, $one->{of}, $entry, $command] }; return }
    kill 'KILL', $one->{pid};
  }
  begin($number, $one->{of}, $entry, $command);
}

sub drop {
  my ($number) = @_;
  my $one = delete $waiting{$number} // return;
  delete $starting{fileno $one->{hear}} if $one->{hear};
  return answer("ended $number 9 ") if $one->{over} || $one->{later};
  delete $of{$one->{pid}}{waits};
  kill 'KILL', $one->{pid};
}

sub reap {
  while ((my $pid = waitpid(-1, 1)) > 0) {
    my $status = $?;
    my $of = delete $of{$pid} // next;
    my $number = $of->{number};
    if ($of->{waits}) {
      $waiting{$number}{over} = 1 if $waiting{$number};
      delete $starting{fileno $of->{hear}};
      if ($waiting{$number}) { answer("lost $number") unless $waiting{$number}{command}; hand_over($number) }
      next;
    }
    my $said = '';
    sysread($of->{hear}, $said, 8192);
    # It never came to its command: what it waited in was not the same any more, or it was ended before.
    if ($of->{again} && $said !~ /^go/) { begin(@{$of->{again}}); next }
    $said = '' if $of->{again};
    $said =~ tr/\\n/ /;
    answer("ended $number $status $said");
  }
}

answer('ready');
my $input = '';
while (1) {
  my $ready = '';
  vec($ready, $_, 1) = 1 for fileno(STDIN), fileno($told), keys %starting;
  my $busy = grep { !$_->{waits} } values %of;
  my $found = select($ready, undef, undef, !@later ? undef : $busy ? 0.003 : 0);
  if ($found <= 0) { prepare(@{shift @later}) if @later && $found == 0; next }
  if (vec($ready, fileno($told), 1)) { sysread($told, my $signals, 4096); reap() }
  for my $file (keys %starting) { listens($starting{$file}) if defined $starting{$file} && vec($ready, $file, 1) }
  next unless vec($ready, fileno(STDIN), 1);
  sysread(STDIN, $input, 65536, length $input) or last;
  while ($input =~ /\\A(\\d+)\\n/ && length($input) >= length($1) + 1 + $1) {
    my $fields = substr($input, length($1) + 1, $1);
    substr($input, 0, length($1) + 1 + $1, '');
    my ($what, $number, @rest) = map { s/\\0\\z//r } $fields =~ /[^\\0]*\\0/g;
    if ($what eq 'drop') { drop($number); next }
    if ($what eq 'run') { run($number, @rest); next }
    my %of;
    (@of{qw(out err cwd named join limits)}, my ($command, @environment)) = @rest;
    my $entry = pop @environment;
    $of{environment} = \\@environment;
    if ($what eq 'prepare') { $waiting{$number} = { of => \\%of, later => 1 }; push @later, [$number, $command, length $entry] } else { begin($number, \\%of, $entry, $command) }
  }
}
`
}
