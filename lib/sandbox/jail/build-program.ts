import { toolPath } from '../tool-path.ts'
import { systemCallTable } from './system-calls.ts'

/**
 * Builds what a slot sees, and then keeps it alive as process 1 of its PID namespace. Runs as root in new mount, PID, IPC and UTS (and
 * network) namespaces, with the server's own files in view: none of what it runs comes from the slot. It is one process that makes the system
 * calls itself: a slot has some thirty mounts, and each would be a program to start.
 *
 * Descriptor 3 takes what it says: its process id as the server sees it, those of a process in the user namespace for commands and of
 * one in their mount namespace, then `ready`. A line on stdin tells that the server has hold of both and that the network is there.
 * In the slot's folder, `mounts` holds triples of source, target, and `ro` or `rw`, each ended by NUL; `resolv.conf` may be there once the
 * network is. Arguments: the slot's folder, the uid that owns the slot's user namespace, a folder of programs that the slot is given at
 * `/run/slotpool` or nothing, and for each overlay its target, its `lowerdir` option and the folder of the machine that lies below these, or
 * nothing.
 *
 * Of a folder of the machine, the slot gets at what everybody may read, whenever that was made: it is the ground of an overlay that was mounted
 * by a user who owns nothing, and overlayfs looks below with the rights of who mounted it. The slot's own overlay lies on that one, as
 * root's, so that what is read there is its to change.
 *
 * The user namespace maps every id to itself. Its root owns the files that root owns, and has no right over any other namespace, not even
 * over those that the slot lives in. Made by a uid of the slot's own, it counts inotify watches and the like for itself.
 */
export function buildProgram(): string {
  return `
use strict;
${systemCallTable()}
my ($slot, $owner, $programs, @layers) = @ARGV;
my ($readOnly, $noSuid, $noDev, $noExec, $remount, $bind) = (1, 2, 4, 8, 32, 4096);
umask 022;
chdir $slot or die "$slot: $!\\n";
call('setgroups', 0, 0);
open(my $server, '>&=', 3) or die "descriptor 3: $!\\n";
sub tell_server { syswrite($server, "$_[0]\\n") or die "the server: $!\\n" }
sub outer_pid { readlink '/proc/self' or die "/proc/self: $!\\n" }
tell_server(outer_pid());

sub mount_at { my ($source, $target, $type, $flags, $options) = @_; eval { call('mount', $source, $target, $type, $flags + 0, $options); 1 } or die "mounting $target: $@" }
sub bind_at { mount_at($_[0], $_[1], 'none', $bind, '') }
sub folders { my ($path) = @_; my $so_far = ''; for (split m{(?<=/)}, $path) { $so_far .= $_; mkdir $so_far or $!{EEXIST} or die "$so_far: $!\\n" } }
sub put { my ($path, $text) = @_; my $file; open($file, '>', $path) and (syswrite($file, $text) // -1) == length $text or die "$path: $!\\n" }
# A link that an image has in this place is not followed.
sub replace { unlink $_[0]; put(@_) }

opendir(my $nothing, 'empty') or die "empty: $!\\n";
for (my $layer = 0; @layers; $layer++) {
  my ($target, $lower, $machine) = splice @layers, 0, 3;
  my ($upper, $work) = ("layers/$layer/upper", "layers/$layer/work");
  folders($_) for $upper, $work, "root$target";
  chmod 0755, $upper;
  if ($machine ne '') {
    chdir "root$target" or die "$target: $!\\n";
    syscall($call{setfsgid}, $owner + 0); syscall($call{setfsuid}, $owner + 0);
    mount_at('slot', '.', 'overlay', $readOnly, "lowerdir=/proc/self/fd/" . fileno($nothing) . ":$machine");
    syscall($call{setfsuid}, 0); syscall($call{setfsgid}, 0);
    chdir $slot or die "$slot: $!\\n";
    $lower .= ($lower eq '' ? '' : ':') . "root$target";
  }
  # What is lost when the machine stops is of no use to anybody, so nothing waits for the disk.
  mount_at('slot', "root$target", 'overlay', 0, "lowerdir=$lower,upperdir=$upper,workdir=$work,volatile");
}

# An image may have links there, which would lead to other places of the server's, or nothing.
for my $path (map { "root/$_" } qw(proc dev run tmp sys workspace)) { unlink $path if -l $path; folders($path) }
for my $path (qw(root/etc root/root)) { mkdir $path, $path eq 'root/etc' ? 0755 : 0700 or $!{EEXIST} or die "$path: $!\\n" }
mount_at('proc', 'root/proc', 'proc', $noSuid | $noDev | $noExec, '');

# Runs a part in a process of its own: gives what it says, by lines, and what to tell it; it ends when that is closed.
my @helpers;
sub helper {
  my ($part) = @_;
  pipe(my $from, my $say) and pipe(my $hear, my $to) or die "pipe: $!\\n";
  my $pid = fork // die "fork: $!\\n";
  if (!$pid) {
    close $_ for $from, $to, $server, map { $_->{to} } @helpers;
    eval { $part->(sub { syswrite($say, "$_[0]\\n") }, sub { scalar <$hear> }) };
    print STDERR $@;
    exit 1;
  }
  close $say; close $hear;
  push @helpers, { from => $from, to => $to };
  return ($from, $to);
}
sub answer { my ($from, $what) = @_; my $line = <$from> // die "$what could not be made\\n"; chomp $line; $line }

my ($from, $to) = helper(sub {
  my ($say, $hear) = @_;
  call('setresgid', ($owner + 0) x 3); call('setresuid', ($owner + 0) x 3);
  call('unshare', 0x10000000);
  $say->(outer_pid()); $hear->();
  call('setresgid', 0, 0, 0); call('setresuid', 0, 0, 0);
  put('root/proc/sys/user/max_user_namespaces', '0');
  $say->('limited'); $hear->();
});
my $users = answer($from, 'the user namespace');
put("/proc/$users/$_", '0 0 65536') for 'uid_map', 'gid_map';
syswrite($to, "mapped\\n");
answer($from, 'the limits of the user namespace');
tell_server($users);

for my $path (map { "root/proc/$_" } qw(bus fs irq sys sysrq-trigger)) {
  next unless -e $path;
  bind_at($path, $path);
  mount_at('none', $path, 'none', $remount | $bind | $readOnly | $noSuid | $noDev | $noExec, '');
}
for my $path (map { "root/proc/$_" } qw(kcore keys latency_stats timer_list timer_stats sched_debug interrupts)) {
  bind_at('/dev/null', $path) if -e $path;
}
for my $path (map { "root/proc/$_" } qw(acpi asound scsi)) {
  mount_at('none', $path, 'tmpfs', $readOnly, 'size=4k') if -d $path;
}

# The server's own program and filter are no part of the system that a slot is built on.
mount_at('none', 'root/opt/slotpool', 'tmpfs', $readOnly, 'mode=000,size=4k') if -d 'root/opt/slotpool';

# Nor are folders for mounts that the server's container has in there, which need not all have been made by its image.
mount_at('none', 'root/sys', 'tmpfs', $readOnly, 'mode=555,size=4k') if -e 'root/sys/fs';

mount_at('dev', 'root/dev', 'tmpfs', $noSuid | $noExec, 'mode=755,size=64k');
for my $device (qw(null zero full random urandom tty)) {
  put("root/dev/$device", '');
  bind_at("/dev/$device", "root/dev/$device");
}
folders("root/dev/$_") for qw(pts shm);
mount_at('devpts', 'root/dev/pts', 'devpts', $noSuid | $noExec, 'newinstance,ptmxmode=0666,mode=620');
mount_at('shm', 'root/dev/shm', 'tmpfs', $noSuid | $noDev, 'mode=1777,size=256m');
for (['pts/ptmx', 'ptmx'], ['/proc/self/fd', 'fd'], ['fd/0', 'stdin'], ['fd/1', 'stdout'], ['fd/2', 'stderr']) {
  symlink $_->[0], "root/dev/$_->[1]" or die "/dev/$_->[1]: $!\\n";
}

mount_at('run', 'root/run', 'tmpfs', $noSuid | $noDev, 'mode=755,size=64m');
folders('root/run/lock'); chmod 01777, 'root/run/lock';
bind_at('tmp', 'root/tmp');
if ($programs ne '') {
  folders('root/run/slotpool');
  bind_at($programs, 'root/run/slotpool');
  mount_at('none', 'root/run/slotpool', 'none', $remount | $bind | $readOnly | $noSuid | $noDev, '');
}

my $name = 'slot';
call('sethostname', $name, length $name);
replace('root/etc/hostname', "$name\\n");
replace('root/etc/hosts', "127.0.0.1 localhost $name\\n::1 localhost ip6-localhost ip6-loopback\\n");

# What a path means is up to the slot's own root: a link in it must not lead out. It need not be there.
sub place {
  my ($inside) = @_;
  my ($place, $links, @rest) = ('root', 0, split m{/}, $inside);
  while (@rest) {
    my $part = shift @rest;
    if ($part eq '..') { $place =~ s{/[^/]*\\z}{} }
    elsif (defined(my $to = readlink "$place/$part")) {
      ++$links <= 40 or die "$inside cannot be a target: too many links\\n";
      $place = 'root' if $to =~ m{^/};
      unshift @rest, split m{/}, $to;
    }
    elsif ($part ne '' && $part ne '.') { $place .= "/$part" }
  }
  return $place;
}
open(my $list, '<', 'mounts') or die "mounts: $!\\n";
my @mounts = do { local $/ = "\\0"; my @fields = <$list>; chomp @fields; @fields };
while (my ($source, $inside, $mode) = splice @mounts, 0, 3) {
  my $target = place($inside);
  if (-d $source) { folders($target) } else { folders($target =~ s{/[^/]*\\z}{}r); -e $target or put($target, '') }
  for (['--rbind', '--', $source, $target], ['-o', "remount,bind,nosuid,nodev,$mode", '--', $target]) {
    system('mount', @$_) == 0 or die "$source could not be mounted at $inside\\n";
  }
}

# What commands see: a mount namespace in which nothing but the slot's root is left. The server takes hold of it.
($from) = helper(sub {
  my ($say, $hear) = @_;
  my ($pid, $here) = (outer_pid(), '.');
  chdir 'root' or die "root: $!\\n";
  call('unshare', 0x00020000);
  call('pivotRoot', $here, $here);
  call('umount', $here, 2);
  chdir '/';
  $say->($pid); $hear->();
});
tell_server(answer($from, 'the view of commands'));

defined <STDIN> or die "the server has gone\\n";
if (open(my $resolver, '<', 'resolv.conf')) { local $/; replace('root/etc/resolv.conf', <$resolver> // '') }

close $_->{to} for @helpers;
1 while wait != -1 || $!{EINTR};
tell_server('ready');
close $server;
open(STDIN, '<', '/dev/null');
chdir '/';
my ($keeper) = grep { -x } map { "$_/sleep" } split /:/, '${toolPath}';
syscall($call{prctl}, 24, $_, 0, 0, 0) for 0 .. 63;
call('setresgid', ($owner + 0) x 3); call('setresuid', ($owner + 0) x 3);
call('capset', pack('LL', 0x20080522, 0), pack('L6', (0) x 6));
call('prctl', 38, 1, 0, 0, 0);
call('prctl', 1, 9, 0, 0, 0);
# Nobody's child for long: with the signal ignored the kernel reaps what is orphaned in the slot.
$SIG{CHLD} = 'IGNORE';
%ENV = ();
exec { $keeper } 'sleep', 'infinity' or die "sleep: $!\\n";
`
}
