import type { Attempt } from '../attempt.ts'
import { newFolder } from '../beside.ts'
import { perl } from '../probe.ts'

/**
 * Reads files that lie beside the slots and were made after them: in root's home, in other people's folders, in those of services, in the
 * machine's settings, among its programs.
 */
const inContainer =
  'slots are built on the image, and nothing else is in the container but what the server has, which has attempts of its own'

export const attempts: Attempt[] = [
  {
    name: 'read files of the machine that are not for everybody',
    except: { docker: inContainer, nomad: inContainer },
    escape: async ({ beside, mark, after, attack }) => {
      const made = await beside.run(`
        for base in "$HOME" /root /home /var/tmp /tmp /srv /mnt /media /run /var/lib /var/log /var/spool /etc /opt /usr/local/lib /usr/share; do
          [ -d "$base" ] && [ -w "$base" ] || continue
          folder=$(mktemp -d -p "$base" escape-XXXXXX) && chmod 700 "$folder" && echo "secret ${mark}" > "$folder/file" && chmod 600 "$folder/file" && echo "$folder"
        done; true`)
      const folders = made.trim().split('\n')
      after(() => beside.run(`rm -rf -- ${folders.filter((one) => /^\/.+\/escape-\w{6}$/.test(one)).join(' ')}`))
      return attack(
        perl(
          `for my $folder (@ARGV) {
             if (open(my $f, '<', "$folder/file")) { got("read $folder: " . <$f>) } else { held("read $folder: $!") }
           }
           for my $path ('/etc/shadow', '/etc/gshadow') { open(my $f, '<', $path) or next; while (<$f>) { got("$path has a password") if /^[^:]+:\\$/ } }`,
          ...folders,
        ),
      )
    },
  },
  {
    name: 'write where the machine’s programs are',
    // A new file, empty, and only if it can be taken back.
    escape: async ({ attacker, beside, mark, after }) => {
      const open = await newFolder(beside)
      if (!/^\/.*\/tmp\.\w+$/.test(open)) throw new Error(`got ${open}, expected a new folder`)
      const places = `/usr/bin /usr/lib /usr/local/bin /etc /etc/profile.d /opt / /root /var/lib /lib64 /home /run ${open}`
      // Its own file in each, and the folder, empty then, that it made.
      after(() => beside.run(`for at in ${places}; do rm -f -- "$at/${mark}"; done 2> /dev/null; rmdir -- ${open}`))
      await attacker.exec(`for at in ${places}; do touch "$at/${mark}"; done 2> /dev/null; true`)
      const found = await beside.run(`for at in ${places}; do [ -e "$at/${mark}" ] && echo "$at"; done; true`)
      return found.trim() || null
    },
  },
]
