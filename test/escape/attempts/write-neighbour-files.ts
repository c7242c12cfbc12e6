import type { Attempt } from '../attempt.ts'

/** Opens a neighbour's files for writing, without writing: who can, decides what another task answers, and what its next command runs. */
export const attempts: Attempt[] = [
  {
    name: 'open a neighbour’s file for writing',
    escape: async ({ neighbour, beside, mark, prepare, attack }) => {
      await prepare(`echo mine > ${mark}; chmod 666 ${mark}; chmod 777 . "$HOME" "$TMPDIR"; cp ${mark} "$HOME/"; cp ${mark} "$TMPDIR/"`)
      return attack(`
        for file in ${neighbour.workspace}/${mark} "$HOME/${mark}" "$TMPDIR/${mark}" ${beside.server.stateDir}/slots/*/*/${mark} /proc/[0-9]*/cwd/${mark}; do
          if [ -e "$file" ] && (exec 3<> "$file") 2> /dev/null; then got "$file"; else held "$file"; fi
        done`)
    },
  },
]
