import type { Attempt } from '../attempt.ts'
import { newFolder, startBeside } from '../beside.ts'

/**
 * Goes through what /proc tells of processes that are none of the slot's own: environments, where the server's token or a cloud's keys may
 * be, root and working folders and open files, which lead past every mount that hides something.
 */
const besides =
  (script: (mark: string) => string): Attempt['escape'] =>
  async ({ beside, mark, after, attack }) => {
    const other = await startBeside(
      beside,
      `cd /tmp && echo secret-${mark} > /tmp/${mark} && exec 7< /tmp/${mark} && rm /tmp/${mark} && echo > "$READY" && SECRET=secret-${mark} exec sleep 600`,
    )
    after(other.end)
    return attack(script(mark))
  }

export const attempts: Attempt[] = [
  {
    name: '/proc/*/environ of other processes',
    escape: besides(
      (mark) => `
      for file in /proc/[0-9]*/environ; do
        if { tr '\\0' '\\n' < "$file"; } 2> /dev/null | grep -q '^SECRET=secret-${mark}'; then got "$file"; fi
      done; held looked`,
    ),
  },
  {
    name: '/proc/1/environ is not the server’s or the machine’s',
    escape: async ({ beside, attack }) => {
      const outside = (await beside.run('{ cat /proc/1/environ; echo never empty; } 2> /dev/null | sha256sum; sha256sum < /proc/1/cmdline'))
        .trim()
        .split(/\s+-\s*/)
      return attack(`
        for file in environ cmdline; do held "$file"; done
        sum=$({ cat /proc/1/environ && echo never empty; } 2> /dev/null | sha256sum); case $sum in ${outside[0]}*) got environ ;; esac
        sum=$(sha256sum < /proc/1/cmdline); case $sum in ${outside[1]}*) got cmdline ;; esac`)
    },
  },
  {
    name: '/proc/*/fd of other processes',
    escape: besides(
      (mark) => `
      for file in /proc/[0-9]*/fd/7; do
        # Reading from another's pipe could wait for ever.
        if [ -f "$file" ] && { read -r -t 1 line < "$file"; } 2> /dev/null && [ "$line" = secret-${mark} ]; then got "$file"; fi
      done; held looked`,
    ),
  },
  ...(['root', 'cwd'] as const).map(
    (link): Attempt => ({
      name: `/proc/*/${link} of other processes`,
      escape: async ({ beside, mark, after, attack }) => {
        const folder = await newFolder(beside)
        after(() => beside.run(`rm -rf ${folder}`))
        await beside.run(`chmod 755 ${folder}; echo secret > ${folder}/${mark}; chmod 644 ${folder}/${mark}`)
        const other = await startBeside(beside, `cd ${folder}; echo > "$READY"; exec sleep 600`)
        after(other.end)
        return attack(`
          for at in /proc/[0-9]*/${link}; do
            if [ -e "$at/${link === 'root' ? `${folder}/${mark}` : mark}" ]; then got "$at"; fi
          done 2> /dev/null; held looked`)
      },
    }),
  ),
]
