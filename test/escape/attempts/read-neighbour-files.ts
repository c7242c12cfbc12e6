import type { Attempt } from '../attempt.ts'

/**
 * Reads a file of a neighbour's workspace, home and tmp: by the path that the neighbour has for it, by the folders in which the server keeps
 * its slots, through links, and through the root and the working folder of every process that shows. A task's secrets and its answers lie
 * there.
 */
export const attempts: Attempt[] = [
  {
    name: 'read a neighbour’s files by their path',
    escape: async ({ neighbour, beside, mark, prepare, attack }) => {
      await prepare(
        `echo secret-of-neighbour > ${mark}; chmod 644 ${mark}; cp ${mark} "$HOME/"; cp ${mark} "$TMPDIR/"; chmod 755 . "$HOME" "$TMPDIR"`,
      )
      return attack(`
        for place in ${neighbour.workspace} /home ${beside.server.stateDir} /var/lib/slotpool; do
          found=$(find "$place" -name '${mark}' -type f 2> /dev/null | head -n 1)
          if [ -n "$found" ] && grep -q secret-of-neighbour "$found"; then got "$found"; else held "$place"; fi
        done`)
    },
  },
  {
    name: 'read a neighbour’s files through links',
    escape: async ({ neighbour, beside, mark, prepare, attack }) => {
      await prepare(`echo secret-of-neighbour > ${mark}; chmod -R a+rX .`)
      return attack(`
        for target in ${neighbour.workspace} ../../*/workspace ${beside.server.stateDir}/slots/*/*; do
          ln -sfn "$target" link; attempt grep -rq secret-of-neighbour link/${mark}
        done`)
    },
  },
]
