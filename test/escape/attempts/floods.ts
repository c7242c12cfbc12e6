import type { Attempt, Scene } from '../attempt.ts'
import { quoted } from '../beside.ts'
import { perl } from '../probe.ts'

/** Takes all there is of something that the kernel counts for a user, so that a neighbour gets none. Bounded, and taken back. */
const flood = (name: string, take: string, give: string, more: Partial<Attempt> = {}): Attempt => ({
  ...more,
  name: `flood: ${name}`,
  escape: async (scene) => {
    const { attacker, neighbour } = scene
    const before = await neighbour.exec(give)
    if (before.exitCode !== 0) throw new Error(`the neighbour could not even before: ${before.stderr}`)
    await attacker.exec(`mkfifo taken; ${take} > /dev/null 2>&1 < /dev/null & read -r -t 20 _ 0<> taken; true`)
    const after = await neighbour.exec(give, { timeoutMs: 30_000 })
    return after.exitCode === 0 ? null : `the neighbour gets none: ${after.stderr || after.exitCode}`
  },
})

/** The same two, of one user and without anything between them, with a bound of the test's own. */
const together =
  (bound: string, take: string, give: string) =>
  async ({ beside }: Pick<Scene, 'beside'>) => {
    const said = await beside.run(
      `cd "$(mktemp -d)" && chmod 777 . && ${bound} && { mkfifo -m 666 taken; ${take} > /dev/null 2>&1 < /dev/null & taker=$!; read -r -t 20 _ 0<> taken; { ${give}; } > /dev/null 2>&1 || echo none is left; kill -9 $taker; pkill -9 -P $taker; true; }`,
    )
    return said.trim() || null
  }

/** Its own user, where there are others: what it takes is taken from nobody on this machine. */
/** The other attempts' controls share theirs. */
const inItsOwnIpc = (beside: Scene['beside']): Pick<Scene, 'beside'> => ({
  beside: { ...beside, run: (script) => beside.run(`unshare --ipc bash -c ${quoted(script)}`) },
})

const become = (uid: number, command: string): string =>
  process.geteuid?.() === 0 ? `setpriv --reuid=${uid} --clear-groups ${command}` : command

const told = `open(my $r, '>', 'taken'); print $r "taken\\n"; close $r; sleep 600;`
const instances = perl(`for (1 .. 300) { last if sys('inotify_init1', 0) < 0 } ${told}`)
const instance = perl(`sys('inotify_init1', 0) >= 0 or do { print STDERR "inotify: $!"; exit 1 }`)
const processes = perl(`for (1 .. 400) { my $p = fork(); last unless defined $p; if (!$p) { sleep 600; POSIX::_exit(0) } } ${told}`)
const child = perl(
  `for (1 .. 5) { my $p = fork(); defined $p or do { print STDERR "fork: $!"; exit 1 }; POSIX::_exit(0) unless $p; waitpid($p, 0) }`,
)
const files = perl(`my @held; my $n = 0; for (1 .. 3000) { open(my $f, '<', '/dev/null') or last; push @held, $f; } ${told}`)
const file = perl(`my @held; for (1 .. 50) { open(my $f, '<', '/dev/null') or do { print STDERR "open: $!"; exit 1 }; push @held, $f }`)
const segments = perl(`for my $n (1 .. 5000) { last if sys('shmget', 0, 4096, 01600) < 0 } ${told}`)
const segment = perl(`my $m = sys('shmget', 0, 4096, 01600); $m >= 0 or do { print STDERR "shmget: $!"; exit 1 }; sys('shmctl', $m, 0, 0);`)
const keys = perl(`for my $n (1 .. 300) { last if sys('add_key', 'user', "flood-$n", 'x' x 50, 50, -3) < 0 } ${told}`)
const key = perl(
  `my $k = sys('add_key', 'user', 'one', 'x', 1, -3); if ($k < 0 && ($! == POSIX::EDQUOT() || $! == POSIX::ENOMEM())) { print STDERR "add_key: $!"; exit 1 } sys('keyctl', 9, $k, -3) if $k >= 0;`,
)
const terminals = perl(`my @held; for (1 .. 600) { sysopen(my $f, '/dev/ptmx', O_RDWR | O_NOCTTY) or last; push @held, $f } ${told}`)
const terminal = perl(`sysopen(my $f, '/dev/ptmx', O_RDWR | O_NOCTTY) or do { print STDERR "ptmx: $!"; exit 1 }`)

export const attempts: Attempt[] = [
  flood('inotify instances', instances, instance, {
    control: together('true', become(1_234_569, instances), become(1_234_569, instance)),
    except: {
      'ordinary-user': 'the kernel counts them for the user that all slots share with whoever started them: docs/threat-model.md says so',
    },
  }),
  flood('processes', processes, child, {
    control: together('ulimit -u 50', become(1_234_567, processes), become(1_234_567, child)),
    controlNeedsRoot: 'the number of processes is bounded for a user, and there is but one',
  }),
  flood('open files', files, file, {
    // In one process: the bound is a process's.
    control: async ({ beside }) => {
      const said = await beside.run(`ulimit -n 40; ${file} 2>&1 || true`)
      return said.trim() || null
    },
  }),
  flood('shared memory segments', segments, segment, {
    control: async ({ beside }) => together('true', segments, segment)(inItsOwnIpc(beside)),
  }),
  flood('keys', keys, key, {
    control: together('true', become(1_234_568, keys), become(1_234_568, key)),
    controlNeedsRoot: 'root has a quota of its own, and there is nobody else to become',
  }),
  flood('terminals', terminals, terminal, {
    control: async ({ beside }) => {
      const said = await beside.run(
        perl(
          `my @held; for (1 .. 20) { sysopen(my $f, '/dev/ptmx', O_RDWR | O_NOCTTY) or do { print "ptmx: $!"; last }; push @held, $f } print scalar(@held), ' of one count';`,
        ),
      )
      return said.trim() || null
    },
  }),
  {
    name: 'flood: output',
    // 64 MiB that the caller did not ask for: it keeps the bound it set, and the neighbour its answers.
    escape: async ({ attacker, neighbour }) => {
      const flooding = attacker.exec('head -c 67108864 /dev/zero; head -c 16777216 /dev/zero >&2', {
        maxOutputBytes: 65_536,
        timeoutMs: 60_000,
      })
      const { stdout } = await neighbour.exec('echo answered')
      const flooded = await flooding
      if (stdout !== 'answered\n') return 'the neighbour got no answer'
      return flooded.stdout.length > 70_000 || !flooded.truncated ? `${flooded.stdout.length} characters are kept` : null
    },
    control: async ({ beside }) => `${(await beside.run('head -c 1048576 /dev/zero')).length} characters are kept`,
  },
]
