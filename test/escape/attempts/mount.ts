import type { Attempt } from '../attempt.ts'
import { perl } from '../probe.ts'

/** Mounts something. Who may mount hides what the server put in place, uncovers what it hid, and reaches control files of the kernel. */
const mount = (name: string, call: string, more: Partial<Attempt> = {}): Attempt => ({
  ...more,
  name: `mount: ${name}`,
  escape: ({ attack }) =>
    attack(
      perl(
        `mkdir 'at'; mkdir 'other'; my $r = ${call}; my ($e, $t) = ($! + 0, "$!"); sys('umount2', 'at', 2) if $r >= 0; $! = $e; tried('mount', $r);`,
      ),
    ),
})

export const attempts: Attempt[] = [
  mount('a tmpfs', `sys('mount', 'none', 'at', 'tmpfs', 0, 0)`),
  mount('a folder on another', `sys('mount', 'other', 'at', 0, 4096, 0)`),
  mount('another /proc', `sys('mount', 'proc', 'at', 'proc', 0, 0)`),
  mount('/sys', `sys('mount', 'sysfs', 'at', 'sysfs', 0, 0)`),
  mount(
    'a cgroup hierarchy',
    `do { my $r = sys('mount', 'none', 'at', 'cgroup2', 0, 0); $r = sys('mount', 'none', 'at', 'cgroup', 0, 'memory') if $r < 0; $r }`,
    { controlNeedsRoot: 'an ordinary user may not, not even in a namespace of its own' },
  ),
  mount(
    'an overlay of the root',
    `do { mkdir 'up'; mkdir 'work'; sys('mount', 'none', 'other', 'tmpfs', 0, 0); mkdir 'other/u'; mkdir 'other/w'; my $r = sys('mount', 'o', 'at', 'overlay', 0, 'lowerdir=/,upperdir=other/u,workdir=other/w'); my $e = $! + 0; sys('umount2', 'other', 2); $! = $e; $r }`,
    { controlNeedsRoot: 'an ordinary user may not, not even in a namespace of its own' },
  ),
  {
    name: 'mount: with the newer calls',
    escape: ({ attack }) =>
      attack(perl(`tried('fsopen', sys('fsopen', 'tmpfs', 0)); tried('open_tree with a clone', sys('open_tree', -100, '/', 1));`)),
  },
  {
    name: 'mount: make what is read-only writable',
    // Their mounts again, as they are but for MS_RDONLY; mount_setattr clears the same flag.
    escape: async ({ attack }) =>
      attack(
        perl(`
          open(my $table, '<', '/proc/self/mountinfo'); my $seen = 0;
          while (<$table>) {
            my ($at, $flags) = (split / /)[4, 5];
            next unless $flags =~ /\\bro\\b/; $seen++;
            tried("remount $at", sys('mount', 'none', $at, 0, 32 | 4096, 0));
            tried("set attributes of $at", sys('mount_setattr', -100, $at, 0, pack('QQQQ', 0, 1, 0, 0), 32));
          }
          held("$seen read-only mounts");`),
      ),
    control: async ({ attack }) =>
      attack(
        perl(`
          mkdir 'at'; sys('mount', 'none', 'at', 'tmpfs', 1, 0) >= 0 or die "mount: $!";
          my $at = POSIX::getcwd() . '/at';
          tried("remount $at", sys('mount', 'none', $at, 0, 32 | 4096, 0));
          sys('umount2', 'at', 2);`),
      ),
  },
  {
    name: 'unmount what hides something',
    ruins: 'the /proc, /dev and masks of its namespace',
    escape: ({ attack }) =>
      attack(
        perl(`
          open(my $table, '<', '/proc/self/mountinfo');
          my @points = map { (split / /)[4] } <$table>;
          tried("umount $_", sys('umount2', $_, 2)) for reverse grep { $_ ne '/' } @points;
          held('looked');`),
      ),
  },
]
