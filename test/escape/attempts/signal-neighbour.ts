import type { Attempt, Scene } from '../attempt.ts'
import { startBeside } from '../beside.ts'
import { perl } from '../probe.ts'

/** Signals processes of a neighbour and of the machine: whoever can, ends another task's work, or stops the server with all slots. */
const listener = (mark: string, ready: string, told: string): string =>
  perl(
    `$SIG{USR1} = sub { open(my $f, '>', $ARGV[2]); close $f; exit }; open(my $r, '>', $ARGV[1]); print $r "ready\\n"; close $r; sleep 600 while 1`,
    mark,
    ready,
    told,
  )

/** By the numbers that they have outside, and by all that shows. */
const signal = (mark: string, numbers: readonly number[]): string => `
for pid in ${numbers.join(' ')} $(grep -l ${mark} /proc/[0-9]*/cmdline 2> /dev/null | cut -d/ -f3); do
  case $(tr '\\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null) in perl*${mark}*) ;; '') held "$pid does not show" ; continue ;; *) continue ;; esac
  attempt kill -USR1 "$pid"
done
held looked`

async function outsidePids({ beside, mark }: Scene): Promise<number[]> {
  const said = await beside.run(`grep -l '${mark.slice(0, -1)}[${mark.slice(-1)}]' /proc/[0-9]*/cmdline 2> /dev/null | cut -d/ -f3; true`)
  return said.trim().split('\n').map(Number)
}

export const attempts: Attempt[] = [
  {
    name: 'signal a neighbour’s processes',
    escape: async (scene) => {
      const { mark, prepare, attack } = scene
      await prepare(`mkfifo ready; ${listener(mark, 'ready', 'told')} > /dev/null 2>&1 & read -r _ < ready`)
      const said = await attack(signal(mark, await outsidePids(scene)))
      return (await prepare('[ -e told ] && echo it was signalled; true')) || said
    },
  },
  {
    name: 'signal processes beside the server',
    escape: async (scene) => {
      const { beside, mark, after, attack } = scene
      const other = await startBeside(
        beside,
        listener(mark, '/dev/null', '/dev/null')
          .replace('/dev/null', '"$READY"')
          .replace(/^/, 'exec ')
          .replaceAll('\'"$READY"\'', '"$READY"'),
      )
      after(other.end)
      return attack(signal(mark, await outsidePids(scene)))
    },
  },
]
