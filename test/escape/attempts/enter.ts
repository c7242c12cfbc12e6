import type { Attempt, Scene } from '../attempt.ts'
import { newFolder } from '../beside.ts'
import { perl } from '../probe.ts'

/**
 * Watches for processes on their way into the slot, which for a moment have the server's rights: traces them, opens their program for
 * writing, follows their open files and working folder, and so leaves by what they brought along. Container runtimes were escaped from so.
 */
const watching = perl(
  `my ($floor) = @ARGV;
   my $rights = sub { open(my $f, '<', "/proc/$_[0]/status") or return; local $/; my ($c) = (<$f> // '') =~ /^CapEff:\\s+(\\S+)/m; defined $c ? hex($c) : undef };
   my $maps = sub { open(my $f, '<', "/proc/$_[0]/uid_map") or return ''; local $/; my $m = <$f> // ''; $m =~ tr/ / /s; $m };
   my $own = $floor eq '' ? $rights->($$) : 0; my ($own_map, $own_ns) = ($maps->($$), readlink '/proc/self/ns/user');
   my %seen; my ($looks, $met) = (0, 0);
   open(my $r, '>', 'watching'); print $r "ready\\n"; close $r;
   until (-e 'enough') {
     $looks++;
     for my $folder (glob '/proc/[0-9]*') {
       my ($pid) = $folder =~ /(\\d+)/; $pid += 0; next if $pid == $$ || $pid == 1;
       my $have = $rights->($pid); next unless defined $have;
       my $ns = readlink "$folder/ns/user"; my $exe = readlink("$folder/exe") // '?';
       my $more = ($have & ~$own) || (defined $ns && $ns ne $own_ns) || $exe =~ m{/(nsenter|setpriv|bwrap|unshare)$};
       next unless $more; $met++;
       my $who = "$pid $exe with " . sprintf('%x', $have);
       # Between two looks it may have arrived, and be an ordinary process of the slot then, open to all the others.
       my $on_its_way = sub { $floor ne '' || (($rights->($pid) // 0) & ~$own) || (readlink("$folder/ns/user") // $own_ns) ne $own_ns };
       if (sysopen(my $f, "$folder/exe", O_WRONLY)) { got("$who: its program opens for writing") }
       if (open(my $f, '<', "$folder/environ")) { my $e = <$f>; got("$who: its environment") if length($e // '') && $exe =~ m{/(nsenter|setpriv|bwrap|unshare|node)$} }
       for my $fd (glob "$folder/fd/*") { my $to = readlink $fd; got("$who: $fd is $to") if defined $to && $on_its_way->() && $to !~ m{^(pipe|socket|anon_inode|/dev/null|/workspace|/proc)} && opendir(my $d, $fd) }
       # By a tracer that ends at once, which lets go: nobody is to stand still.
       my $tracer = fork();
       if ($tracer == 0) {
         POSIX::_exit(1) if sys('ptrace', 0x4206, $pid, 0, 0) < 0;
         my $now = $rights->($pid) // 0;
         POSIX::_exit($floor ne '' || ($now & ~$own) ? 0 : 1);
       }
       waitpid($tracer, 0);
       if ($? == 0) { got("$who: traced") }
     }
   }
   held("looked $looks times, met $met");`,
)

async function meanwhile({ attacker, attack }: Scene, floor: '' | 'none'): Promise<string | null> {
  const { exitCode } = await attacker.exec('rm -f enough; mkfifo watching')
  if (exitCode !== 0) throw new Error('no pipe')
  const watched = attack(watching.replace(/-- $/, `-- '${floor}'`))
  watched.catch(() => {})
  await attacker.exec('read -r _ < watching')
  for (let turn = 0; turn < 15; turn++) {
    await attacker.exec('true')
    await attacker.files.write('x', 'x')
    await attacker.files.read('x')
  }
  await attacker.exec('touch enough')
  return watched
}

export const attempts: Attempt[] = [
  {
    name: 'meet processes on their way into the slot',
    escape: (scene) => meanwhile(scene, ''),
    // There every process counts as one with more rights: nothing enters anything.
    control: (scene) => meanwhile(scene, 'none'),
  },
  {
    name: 'descriptors of the server in a command',
    escape: ({ attack }) => attack(descriptors),
    control: ({ attack }) => attack(`exec 9< /; ${descriptors}`),
  },
  {
    name: 'a working folder that leads out',
    escape: async ({ attacker, beside, mark, after }) => {
      const folder = await newFolder(beside)
      after(() => beside.run(`rm -rf ${folder}`))
      await beside.run(`chmod 755 ${folder}; touch ${folder}/${mark}`)
      const ways = [
        ...Array.from({ length: 24 }, (_, fd) => `/proc/self/fd/${fd}`),
        '/dev/fd/5/..',
        '/proc/self/cwd',
        '/proc/1/cwd',
        '/proc/1/root',
        '/proc/self/root',
        '..',
        '../../../..',
        folder,
      ]
      const found: string[] = []
      for (const cwd of ways) {
        const up = '../'.repeat(12)
        const said = await attacker
          .exec(`for at in ${mark} ${folder.slice(1)}/${mark} ${up}${folder.slice(1)}/${mark}; do [ -e "$at" ] && echo "$at"; done`, {
            cwd,
          })
          .catch((error) => {
            if (error.code === 'CWD_NOT_FOUND') return { stdout: '' }
            throw error
          })
        if (said.stdout !== '') found.push(`${cwd}: ${said.stdout}`)
      }
      return found.join('\n') || null
    },
  },
]

/** Beside its three streams a command has nothing open; Perl itself opens its script no more than this list. */
const descriptors = perl(
  `for my $fd (glob '/proc/self/fd/*') {
     my $to = readlink $fd; next unless defined $to;
     my ($number) = $fd =~ /(\\d+)$/;
     if ($number > 2 && $to !~ m{^/proc/\\d+/fd$}) { got("$number is $to") }
     elsif ($number <= 2 && $to ne '/dev/null' && !-p $fd) { got("$number is $to") }
     else { held("$number is $to") }
   }`,
)
