import { SlotpoolError } from '../../../lib/errors.ts'
import type { Attempt, Scene, TriedSlot } from '../attempt.ts'
import { newFolder } from '../beside.ts'

/**
 * Asks the server itself for files outside of the slot: by `..`, by absolute names, by links that the slot made, by /proc. Where the server
 * looked at paths with its own eyes, this would hand out its token, or overwrite what it runs.
 */
async function outside({ beside, mark, after }: Scene): Promise<string> {
  const folder = await newFolder(beside)
  after(() => beside.run(`rm -rf -- ${folder}`))
  await beside.run(`chmod 777 ${folder}; echo secret-${mark} > ${folder}/${mark}; chmod 666 ${folder}/${mark}`)
  return folder
}

const ways = (folder: string): string[] => [
  folder,
  `../../../../../../../../../../../..${folder}`,
  `link`,
  `link/../${folder.split('/').pop()}`,
  `/proc/1/root${folder}`,
  `/proc/self/root${folder}`,
  `/proc/self/cwd/../../../../../../..${folder}`,
  `/./${folder}`,
]

/** Null when slotpool refused; anything but its own errors is a failure. */
async function held<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work
  } catch (error) {
    if (error instanceof SlotpoolError && /^(FILE_|REQUEST_INVALID)/.test(error.code)) return null
    throw error
  }
}

const linked = (slot: TriedSlot, folder: string) => slot.exec(`ln -sfn ${folder} link`)

export const attempts: Attempt[] = [
  {
    name: 'file calls: read outside',
    escape: async (scene) => {
      const folder = await outside(scene)
      const { attacker, mark } = scene
      await linked(attacker, folder)
      for (const way of ways(folder)) {
        const content = await held(attacker.files.read(`${way}/${mark}`))
        if (content?.includes('secret')) return `${way}: ${content}`
      }
      return null
    },
  },
  {
    name: 'file calls: write outside',
    escape: async (scene) => {
      const folder = await outside(scene)
      const { attacker, mark, beside } = scene
      await linked(attacker, folder)
      for (const way of ways(folder)) {
        await held(attacker.files.write(`${way}/${mark}`, 'overwritten'))
        await held(attacker.files.write(`${way}/new-${mark}`, 'new'))
      }
      const said = await beside.run(`cat ${folder}/${mark}; ls ${folder}`)
      return said === `secret-${mark}\n${mark}\n` ? null : said
    },
  },
  {
    name: 'file calls: list, look at and remove outside',
    escape: async (scene) => {
      const folder = await outside(scene)
      const { attacker, mark, beside } = scene
      await linked(attacker, folder)
      for (const way of ways(folder)) {
        const entries = await held(attacker.files.list(way))
        if (entries?.some((entry) => entry.path.includes(mark))) return `${way} is listed`
        if ((await held(attacker.files.stat(`${way}/${mark}`))) !== null) return `${way} is looked at`
        await held(attacker.files.remove(`${way}/${mark}`))
        // Whatever this removes, it is not outside; the folder is the test's own.
        await held(attacker.files.remove(way, { recursive: true }))
      }
      const said = await beside.run(`ls ${folder}`)
      return said === `${mark}\n` ? null : `what is left: ${said}`
    },
  },
  {
    name: 'file calls: a link put in place while they look',
    escape: async (scene) => {
      const folder = await outside(scene)
      const { attacker, mark, beside } = scene
      const racing = attacker.exec(
        `mkdir -p real; echo own > real/${mark}; until [ -e stop ]; do ln -sfn real at; ln -sfn ${folder} at; ln -sfn /proc/1/root${folder} at; done`,
        { timeoutMs: 60_000 },
      )
      try {
        for (let turn = 0; turn < 40; turn++) {
          const content = await held(attacker.files.read(`at/${mark}`))
          if (content?.includes('secret')) return content
          await held(attacker.files.write(`at/${mark}`, 'own'))
        }
      } finally {
        await attacker.files.write('stop', '')
        await racing
      }
      const said = await beside.run(`cat ${folder}/${mark}`)
      return said === `secret-${mark}\n` ? null : said
    },
    // Without the race, which need not be won: the link is followed.
    control: async (scene) => {
      const folder = await outside(scene)
      await scene.attacker.exec(`ln -sfn ${folder} at`)
      return held(scene.attacker.files.read(`at/${scene.mark}`))
    },
  },
  {
    name: 'file calls: devices and pipes that never end',
    escape: async ({ attacker }) => {
      await attacker.exec('mkfifo pipe; ln -sf /dev/zero zero; ln -s /dev/stdin stdin')
      for (const path of ['pipe', 'zero', 'stdin', '/dev/zero', '/dev/full', '/dev/tty', '/proc/self/fd/0', '/proc/kmsg']) {
        const content = await held(attacker.files.readBytes(path, { signal: AbortSignal.timeout(10_000) }))
        if (content !== null && content.length > 0) return `${path} was read`
      }
      return null
    },
    // What reads whatever it is given, in the control's namespaces.
    control: async ({ beside }) => {
      const said = await beside.run(`cd "$(mktemp -d)"; ln -s /dev/zero zero; head -c 4 zero | wc -c`)
      return said.trim() === '4' ? 'a device was read' : null
    },
  },
]
