import type { Attempt } from '../attempt.ts'

/** Lists what others run: arguments carry secrets, and names what there is to attack. */
export const attempts: Attempt[] = [
  {
    name: 'see a neighbour’s processes and the server’s',
    escape: async ({ mark, prepare, attack }) => {
      await prepare(`bash -c 'sleep 600; : neighbour-${mark}' > /dev/null 2>&1 &`)
      return attack(`
        for file in /proc/[0-9]*/cmdline /proc/[0-9]*/task/*/cmdline; do
          words=$(tr '\\0' ' ' < "$file" 2> /dev/null)
          case $words in *neighbour-[e]scape*) got "$file: $words" ;; *sandbox-[s]erver*--token-file*) got "$file: $words" ;; esac
        done
        held looked`)
    },
  },
]
