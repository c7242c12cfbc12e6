import { Absent, type Attempt, type Scene } from '../attempt.ts'
import { perl } from '../probe.ts'

/**
 * Opens what in /proc steers the kernel of the whole machine, and writes nothing: sysrq reboots it, core_pattern and modprobe name a program
 * that it runs as root outside of every namespace.
 */
async function mustExist({ beside }: Scene, path: string): Promise<void> {
  if ((await beside.run(`[ -e ${path} ] || echo missing`)) !== '') throw new Absent(`this kernel has no ${path}`)
}

const open = (path: string): Attempt => ({
  name: `open ${path} for writing`,
  escape: async (scene) => {
    await mustExist(scene, path)
    return scene.attack(`if (exec 3<> ${path}) 2> /dev/null || (exec 3> ${path}) 2> /dev/null; then got ${path}; else held ${path}; fi`)
  },
  controlNeedsRoot: 'the kernel gives it to the machine’s root only',
})

export const attempts: Attempt[] = [
  open('/proc/sysrq-trigger'),
  open('/proc/sys/kernel/core_pattern'),
  {
    name: 'open anything of /proc/sys for writing',
    escape: ({ attack }) =>
      attack(
        perl(`
          my @todo = ('/proc/sys');
          while (defined(my $folder = shift @todo)) {
            opendir(my $d, $folder) or next;
            for my $name (grep { !/^\\.\\.?$/ } readdir $d) {
              my $path = "$folder/$name";
              if (-d $path && !-l $path) { push @todo, $path; next }
              # Open to all, with a check of its own when written to, and of this PID namespace only.
              next if $name eq 'ns_last_pid';
              # Without O_CREAT and O_TRUNC an opening changes nothing.
              if (sysopen(my $f, $path, O_WRONLY)) { got($path) }
            }
          }
          held('looked');`),
      ),
  },
  {
    name: 'open anything else of /proc for writing',
    escape: ({ attack }) =>
      attack(
        perl(`
          my @todo = grep { !m{/(\\d+|self|thread-self|sys|net|pressure)$} } glob '/proc/*';
          # Left out: /proc/pressure, open to all for asking to be told.
          while (defined(my $path = shift @todo)) {
            next if -l $path;
            # Masked: it is /dev/null.
            next if -c $path;
            if (-d $path) { push @todo, glob "$path/*"; next }
            # Others the kernel only tells, whoever asks.
            next unless ((stat $path)[2] // 0) & 0222;
            if (sysopen(my $f, $path, O_WRONLY | O_NONBLOCK)) { got($path) }
          }
          held('looked');`),
      ),
    controlNeedsRoot: 'the kernel gives it to the machine’s root only',
  },
  {
    name: 'read the kernel’s memory by /proc/kcore',
    escape: async (scene) => {
      await mustExist(scene, '/proc/kcore')
      return scene.attack(`attempt head -c 4 /proc/kcore`)
    },
    controlNeedsRoot: 'the kernel gives it to the machine’s root only',
  },
  {
    name: 'keys of whoever runs the server, by /proc/keys',
    escape: async ({ beside, mark, after, attack }) => {
      // Into the keyring of the user, with all rights for that user.
      const add = perl(
        `my ($mark) = @ARGV; my $k = sys('add_key', 'user', $mark, 'secret', 6, -4); sys('keyctl', 5, $k, 0x3f3f0000) if $k >= 0;`,
        mark,
      )
      await beside.run(add)
      after(() =>
        beside.run(perl(`my ($mark) = @ARGV; my $k = sys('keyctl', 10, -4, 'user', $mark, 0); sys('keyctl', 9, $k, -4) if $k >= 0;`, mark)),
      )
      return attack(
        perl(`my ($mark) = @ARGV; if (open(my $f, '<', '/proc/keys')) { while (<$f>) { got($_) if /\\Q$mark\\E/ } } held('looked');`, mark),
      )
    },
  },
]
