import type { Attempt, Scene, TriedSlot } from '../attempt.ts'
import { quoted } from '../beside.ts'
import { type HiddenSleeper, hiddenSleeper } from '../hidden-sleeper.ts'
import { perl } from '../probe.ts'

/**
 * Leaves something running that is to outlive the slot: it would meet the next tenant, with what the last one knew. Each hides what it was
 * started with, which is all that a server without namespaces could know it by.
 */
/** What pools without namespaces do at the end of a task: they kill the process group of its commands. */
async function naiveRelease({ beside }: Scene, sleeper: HiddenSleeper, script: string): Promise<string | null> {
  const leader = await beside.run(`cd "$(mktemp -d)" && { setsid bash -c ${quoted(script)} > /dev/null 2>&1 < /dev/null & echo $!; }`)
  await sleeper.started()
  await beside.run(`kill -9 -- -${leader.trim()} 2> /dev/null; true`)
  return sleeper.left()
}

const begun = (slot: TriedSlot, script: string) => slot.exec(script, { timeoutMs: 20_000 })

const daemons: [string, (wait: string) => string][] = [
  ['in a session of its own', (wait) => `setsid ${wait} > /dev/null 2>&1 &`],
  ['forked twice', (wait) => `( ( setsid ${wait} > /dev/null 2>&1 & ) & )`],
  ['that is deaf to signals', (wait) => `(trap '' TERM INT HUP QUIT USR1 USR2 PIPE; exec setsid ${wait} > /dev/null 2>&1) &`],
  [
    'that stands still',
    (wait) =>
      `setsid ${wait} > /dev/null 2>&1 & until [ "$(tr '\\0' ' ' < /proc/$!/cmdline | cut -c 1-6)" = 'sleep ' ]; do :; done; kill -STOP $!`,
  ],
  [
    'that is traced and stands still',
    (wait) =>
      `env -i setsid perl -e 'my $p = fork(); if (!$p) { syscall(${process.arch === 'arm64' ? 117 : 101}, 0, 0, 0, 0); kill "STOP", $$; exec "sh", "-c", $ARGV[0]; } waitpid($p, 2); exec "sh", "-c", $ARGV[0]' -- '${wait}' > /dev/null 2>&1 &`,
  ],
  [
    'with a name that looks like a line of its own',
    (wait) =>
      `mkdir -p bin; cp "$(command -v sleep)" 'bin/x) S 1 1 ('; setsid ${wait.replace('sleep', "'bin/x) S 1 1 ('")} > /dev/null 2>&1 &`,
  ],
  ['of which there are many', (wait) => `for n in $(seq 30); do setsid ${wait} > /dev/null 2>&1 & done`],
]

export const attempts: Attempt[] = [
  ...daemons.map(
    ([what, start]): Attempt => ({
      name: `outlive the release: a process ${what}`,
      escape: async (scene) => {
        const sleeper = hiddenSleeper(scene)
        const { exitCode, stderr } = await begun(scene.attacker, start(`env -i ${sleeper.wait}`))
        if (exitCode !== 0 || stderr !== '') throw new Error(`it did not start: ${stderr}`)
        await sleeper.started()
        await scene.attacker.release()
        return sleeper.left()
      },
      control: (scene) => {
        const sleeper = hiddenSleeper(scene)
        return naiveRelease(scene, sleeper, start(`env -i ${sleeper.wait}`))
      },
    }),
  ),
  ...(
    [
      [
        'zombies whose parent does not care',
        `for (1 .. 50) { my $p = fork(); if (!defined $p) { last } POSIX::_exit(0) if $p == 0 } exec 'sh', '-c', $ARGV[0];`,
      ],
      // Bounded, so that it ends by itself where it succeeds.
      [
        'processes that fork and end without pause',
        `my $end = time + 20; for (1 .. 8) { if (fork() == 0) { while (time < $end) { exit 0 if fork() } exit 0 } } exec 'sh', '-c', $ARGV[0];`,
      ],
    ] as const
  ).map(([what, script]): Attempt => {
    const start = ({ wait }: HiddenSleeper) => `setsid env -i ${perl(script, `env -i ${wait}`)} > /dev/null 2>&1 &`
    return {
      name: `outlive the release: ${what}`,
      escape: async (scene) => {
        const sleeper = hiddenSleeper(scene)
        await begun(scene.attacker, start(sleeper))
        await sleeper.started()
        await scene.attacker.release()
        // Several looks: one may miss what forks.
        for (let look = 0; look < 5; look++) {
          const left = await sleeper.left()
          if (left !== null) return left
        }
        return null
      },
      control: (scene) => {
        const sleeper = hiddenSleeper(scene)
        return naiveRelease(scene, sleeper, start(sleeper))
      },
    }
  }),
]
