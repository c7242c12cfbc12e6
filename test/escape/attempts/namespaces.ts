import type { Attempt } from '../attempt.ts'
import { newFolder, startBeside } from '../beside.ts'
import { perl } from '../probe.ts'

/** Makes namespaces of its own, where it would have rights that the slot took, or goes into those of others. */
const kinds: [string, number][] = [
  ['mount', 0x20000],
  ['cgroup', 0x2000000],
  ['uts', 0x4000000],
  ['ipc', 0x8000000],
  ['pid', 0x20000000],
  ['network', 0x40000000],
  ['time', 0x80],
]

export const attempts: Attempt[] = [
  ...kinds.map(
    ([name, flag]): Attempt => ({
      name: `a ${name} namespace of its own`,
      escape: ({ attack }) => attack(perl(`tried('unshare', sys('unshare', ${flag}));`)),
    }),
  ),
  {
    name: 'a user namespace of its own, with all rights in it',
    escape: ({ attack }) =>
      attack(
        perl(`
          if (tried('unshare user and mount', sys('unshare', 0x10000000 | 0x20000)) >= 0) {
            mkdir 'at'; tried('mount in it', sys('mount', 'none', 'at', 'tmpfs', 0, 0));
            tried('network in it', sys('unshare', 0x40000000));
          }`),
      ),
  },
  {
    name: 'a user namespace of its own by clone',
    escape: ({ attack }) =>
      attack(
        perl(`
          my $pid = sys('clone', 0x10000000 | 17, 0, 0, 0, 0);
          if ($pid == 0) { POSIX::_exit(0) }
          waitpid($pid, 0) if $pid > 0; tried('clone', $pid);`),
      ),
  },
  {
    name: 'go into the namespaces of another process',
    escape: async ({ beside, mark, after, attack }) => {
      // As an ordinary user, one in a user namespace of the same user's own.
      const user = (await beside.run('id -u')).trim() === '0' ? '' : '--user'
      const other = await startBeside(beside, `exec unshare ${user} --net --uts --ipc bash -c 'echo > "$READY"; sleep 600; : ${mark}'`)
      after(other.end)
      return attack(
        perl(`
          my %own = map { $_ => readlink "/proc/self/ns/$_" } qw(user mnt pid net ipc uts cgroup);
          for my $folder (glob '/proc/[0-9]*') {
            for my $kind (sort keys %own) {
              my $is = readlink "$folder/ns/$kind"; next if !defined $is || $is eq $own{$kind};
              open(my $f, '<', "$folder/ns/$kind") or do { held("open $folder/ns/$kind"); next };
              tried("$folder $kind", sys('setns', fileno($f), 0));
            }
          }
          held('looked');`),
      )
    },
  },
  {
    name: 'out of the root by chroot',
    escape: async ({ beside, mark, after, attack }) => {
      const folder = await newFolder(beside)
      after(() => beside.run(`rm -rf ${folder}`))
      await beside.run(`chmod 755 ${folder}; touch ${folder}/${mark}`)
      return attack(
        perl(
          `my ($target) = @ARGV; mkdir 'below'; opendir(my $here, '.');
           if (tried('chroot', sys('chroot', 'below'), 0 + 0) >= 0) { chdir $here; chdir '..' for 1 .. 64; sys('chroot', '.') }
           print -e $target ? "GOT $target\\n" : "held $target\\n";`.replace(
            "tried('chroot', sys('chroot', 'below'), 0 + 0) >= 0",
            "sys('chroot', 'below') >= 0",
          ),
          `${folder}/${mark}`,
        ),
      )
    },
  },
  {
    name: 'out of the root by pivot_root',
    ruins: 'the root of its namespace',
    escape: ({ attack }) =>
      attack(
        perl(`
          mkdir 'at'; sys('mount', 'none', 'at', 'tmpfs', 0, 0); mkdir 'at/old';
          tried('pivot_root', sys('pivot_root', 'at', 'at/old'));`),
      ),
    control: async ({ attack }) =>
      attack(
        // The control's own root is a chroot, which pivot_root does not take.
        perl(`sys('unshare', 0x20000) >= 0 or die "unshare: $!"; mkdir 'at'; sys('mount', 'none', 'at', 'tmpfs', 0, 0) >= 0 or die "mount: $!";
          mkdir 'at/old'; mkdir 'at/in'; my $r = sys('pivot_root', 'at', 'at/old');
          # EINVAL comes after the check of rights, EPERM is that check.
          tried('pivot_root', $r, POSIX::EINVAL());`),
      ),
  },
]
