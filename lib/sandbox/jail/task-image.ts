import { lstatSync, readlinkSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import { toolPath } from '../tool-path.ts'

/**
 * The image that slots are made from where the server is no part of it: it has a root filesystem of its own then, and runs nothing of the image
 * (`sandbox-image/enter-image`).
 */
export interface TaskImage {
  /** Where the server has it. */
  root: string
  /** What it sets for all that runs in it. */
  environment: Readonly<Record<string, string>>
  /** The bash that runs commands, as slots see it: the image's own where it has one. */
  shell: string
}

/** What the server runs in the slots of such an image, as it has it itself: a bash, and the few programs that work on files. */
export const slotPrograms = fileURLToPath(new URL('slot', import.meta.url))
/** Where slots have that, read-only; `sandbox-image/slot-programs.sh` makes it for this place. */
const slotProgramsInside = '/run/slotpool'
/** How the server runs one of them in a slot. */
export const ownPrograms = { bash: `${slotProgramsInside}/bin/bash`, path: `${slotProgramsInside}/bin` } as const

/** What comes from who runs the container and not from the image, or is the slot's own. */
const notOfTheImage = /^(NOMAD|CONSUL|VAULT|SLOTPOOL)_|^(HOME|HOSTNAME|PWD|OLDPWD|SHLVL|USER|LOGNAME|TERM|_)$/

/** `environmentFile` has what the container was started with, each entry ended by NUL. */
export async function readTaskImage(root: string, environmentFile: string): Promise<TaskImage> {
  const entries = (await readFile(environmentFile, 'utf8')).split('\0').flatMap((entry) => {
    const [, name = '', value = ''] = /^([^=]+)=(.*)$/s.exec(entry) ?? []
    return name === '' || notOfTheImage.test(name) ? [] : [[name, value] as const]
  })
  const places = toolPath.split(':').map((folder) => `${folder}/bash`)
  return { root, environment: Object.fromEntries(entries), shell: places.find((path) => isProgram(root, path)) ?? ownPrograms.bash }
}

/** Whether `path` is a program for whoever has `root` for its root folder. */
function isProgram(root: string, path: string): boolean {
  const found = resolveIn(root, path)
  const stat = found === undefined ? undefined : statSync(found, { throwIfNoEntry: false })
  return stat?.isFile() === true && (stat.mode & 0o111) !== 0
}

/** Where `path` leads in the tree below `root`, whose links mean places of that tree; undefined where there is none. */
function resolveIn(root: string, path: string): string | undefined {
  let [done, rest] = ['/', path.split('/')]
  for (let steps = 0; rest.length > 0; steps++) {
    // As many as the kernel follows, and some folders between them.
    if (steps > 400) return undefined
    const [part = '', ...others] = rest
    const next = join(done, part)
    const found = lstatSync(join(root, next), { throwIfNoEntry: false })
    if (found === undefined) return undefined
    if (found.isSymbolicLink()) {
      const target = readlinkSync(join(root, next))
      if (isAbsolute(target)) done = '/'
      rest = [...target.split('/'), ...others]
    } else {
      done = next
      rest = others
    }
  }
  return join(root, done)
}
