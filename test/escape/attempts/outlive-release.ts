import type { Attempt, Scene, TriedSlot } from '../attempt.ts'
import { perl } from '../probe.ts'

/**
 * Leaves something running that is to outlive the slot: it would meet the next tenant, with what the last one knew. Each hides what it was
 * started with, which is all that a server without namespaces could know it by.
 */
const waits = (mark: string): string => `env -i sleep 600.0$(printf %d 0x$(echo ${mark.slice(-8)}))`

/** What is left of it, as the server's side sees it. */
async function left({ beside, mark }: Scene): Promise<string | null> {
  const number = Number.parseInt(mark.slice(-8), 16)
  const said = await beside.run(
    `for f in /proc/[0-9]*; do case $(tr '\\0' ' ' 2> /dev/null < $f/cmdline) in *600.0${number}[" "]*) echo $f $(head -n 3 $f/status | tr '\\n' ' ') ;; esac; done; true`,
  )
  return said.trim() || null
}

/** Until then it may still be known by what it was started with. */
async function started(scene: Scene): Promise<void> {
  while ((await left(scene)) === null) await new Promise((resolve) => setImmediate(resolve))
}

/** Nobody else ends them, where they have outlived the control. */
function endAfter({ beside, mark, after }: Scene): void {
  const number = Number.parseInt(mark.slice(-8), 16)
  after(() =>
    beside.run(
      `for f in /proc/[0-9]*; do case $(tr '\\0' ' ' 2> /dev/null < $f/cmdline) in *600.0${number}[" "]*) kill -9 \${f#/proc/} ;; esac; done 2> /dev/null; true`,
    ),
  )
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
      `mkdir -p bin; cp "$(command -v sleep)" 'bin/x) S 1 1 ('; ${wait.replace('sleep', "'bin/x) S 1 1 ('")} > /dev/null 2>&1 & disown; cd /; true`,
  ],
  ['of which there are a hundred', (wait) => `for n in $(seq 100); do setsid ${wait} > /dev/null 2>&1 & done`],
]

export const attempts: Attempt[] = [
  ...daemons.map(
    ([what, start]): Attempt => ({
      name: `outlive the release: a process ${what}`,
      escape: async (scene) => {
        endAfter(scene)
        const { exitCode, stderr } = await begun(scene.attacker, start(waits(scene.mark)))
        if (exitCode !== 0 || stderr !== '') throw new Error(`it did not start: ${stderr}`)
        await started(scene)
        await scene.attacker.release()
        return left(scene)
      },
    }),
  ),
  {
    name: 'outlive the release: zombies whose parent does not care',
    escape: async (scene) => {
      endAfter(scene)
      const script = perl(
        `for (1 .. 50) { my $p = fork(); if (!defined $p) { last } POSIX::_exit(0) if $p == 0 } exec 'sh', '-c', $ARGV[0];`,
        waits(scene.mark),
      )
      await begun(scene.attacker, `setsid env -i ${script} > /dev/null 2>&1 &`)
      await started(scene)
      await scene.attacker.release()
      return left(scene)
    },
  },
  {
    name: 'outlive the release: processes that fork and end without pause',
    escape: async (scene) => {
      const word = scene.mark
      // Bounded: it ends by itself, the control's with its namespace's.
      const chain = `perl -e 'my $end = time + 20; for (1 .. 8) { if (fork() == 0) { while (time < $end) { exit 0 if fork() } exit 0 } } # ${word}'`
      await begun(scene.attacker, `setsid env -i ${chain} > /dev/null 2>&1 &`)
      await scene.attacker.release()
      // Several looks: one may miss them.
      const looks = await scene.beside.run(
        `for n in 1 2 3 4 5; do grep -l '${word.slice(0, -1)}[${word.slice(-1)}]' /proc/[0-9]*/cmdline 2> /dev/null; done; true`,
      )
      return looks.trim() || null
    },
  },
]
