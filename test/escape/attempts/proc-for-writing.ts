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
    name: 'read others’ keys by /proc/keys',
    escape: async ({ attack }) => attack(`if grep -q . /proc/keys 2> /dev/null; then got "$(cat /proc/keys)"; else held /proc/keys; fi`),
    control: async ({ attack }) =>
      attack(perl(`sys('add_key', 'user', 'shown', 'x', 1, -2); open(my $f, '<', '/proc/keys'); print 'GOT ', <$f>; held('looked')`)),
  },
]
