import { buffer } from 'node:stream/consumers'
import { type Header, pack } from 'tar-stream'
import { SlotpoolError } from '../../../lib/errors.ts'
import type { Attempt, Scene } from '../attempt.ts'
import { newFolder } from '../beside.ts'

/** Has a tar unpacked whose members lead out of the folder: up, absolute, through a link of the same tar, to a device. */
type Member = Partial<Header> & { name: string; content?: string }

async function archive(members: readonly Member[]): Promise<Buffer> {
  const tar = pack()
  for (const { content = '', ...headers } of members) tar.entry(headers, content)
  tar.finalize()
  return buffer(tar)
}

async function tried({ attacker }: Scene, members: readonly Member[]): Promise<void> {
  try {
    await attacker.files.uploadTar(await archive(members))
  } catch (error) {
    if (!(error instanceof SlotpoolError) || !/^(FILE_|REQUEST_INVALID)/.test(error.code)) throw error
  }
}

const outward = (name: string, members: (folder: string, mark: string) => Member[]): Attempt => ({
  name: `tar: ${name}`,
  escape: async (scene) => {
    const { beside, mark, after } = scene
    const folder = await newFolder(beside)
    after(() => beside.run(`rm -rf -- ${folder}`))
    await beside.run(`chmod 777 ${folder}`)
    await tried(scene, members(folder, mark))
    return (await beside.run(`ls ${folder}`)).trim() || null
  },
  // What unpacks without distrust, in the control's namespaces.
  control: async (scene) => {
    const { beside, mark, after } = scene
    const folder = await newFolder(beside)
    after(() => beside.run(`rm -rf -- ${folder}`))
    const tar = (await archive(members(folder, mark))).toString('base64')
    await beside.run(`cd "$(mktemp -d)" && echo ${tar} | base64 -d | tar -x -P --no-same-owner 2> /dev/null; true`)
    return (await beside.run(`ls ${folder}`)).trim() || null
  },
})

const up = '../'.repeat(16)

export const attempts: Attempt[] = [
  outward('members above the folder', (folder, mark) => [{ name: `${up}${folder.slice(1)}/${mark}`, content: 'x' }]),
  outward('members with absolute names', (folder, mark) => [{ name: `${folder}/${mark}`, content: 'x' }]),
  outward('through a link of the same tar', (folder, mark) => [
    { name: 'out', type: 'symlink', linkname: folder },
    { name: `out/${mark}`, content: 'x' },
  ]),
  outward('through two links of the same tar', (folder, mark) => [
    { name: 'a', type: 'symlink', linkname: '/' },
    { name: 'b', type: 'symlink', linkname: `a${folder}` },
    { name: `b/${mark}`, content: 'x' },
  ]),
  {
    name: 'tar: a hard link to a file outside',
    escape: async (scene) => {
      const { attacker, beside, mark, after } = scene
      const folder = await newFolder(beside)
      after(() => beside.run(`rm -rf -- ${folder}`))
      await beside.run(`chmod 755 ${folder}; echo secret-${mark} > ${folder}/${mark}; chmod 644 ${folder}/${mark}`)
      await tried(scene, [{ name: 'hard', type: 'link', linkname: `${folder}/${mark}` }])
      await tried(scene, [{ name: 'hard', type: 'link', linkname: `${up}${folder.slice(1)}/${mark}` }])
      const { stdout } = await attacker.exec('cat hard')
      return stdout.includes('secret') ? stdout : null
    },
    control: async ({ beside, mark, after }) => {
      const folder = await newFolder(beside)
      after(() => beside.run(`rm -rf -- ${folder}`))
      await beside.run(`echo secret-${mark} > ${folder}/${mark}`)
      const tar = (await archive([{ name: 'hard', type: 'link', linkname: `${folder}/${mark}` }])).toString('base64')
      return (await beside.run(`cd ${folder} && echo ${tar} | base64 -d | tar -x -P && cat hard`)).trim() || null
    },
  },
  {
    name: 'tar: devices and programs that run as their owner',
    escape: async (scene) => {
      const { attacker } = scene
      await tried(scene, [{ name: 'log', type: 'character-device', devmajor: 1, devminor: 11 }])
      await tried(scene, [{ name: 'zero', type: 'character-device', devmajor: 1, devminor: 5, mode: 0o666 }])
      await tried(scene, [{ name: 'suid', mode: 0o4755, uid: 0, content: 'x' }])
      const { stdout } = await attacker.exec('find . -type b -o -type c -o -perm /6000')
      return stdout.trim() || null
    },
    controlNeedsRoot: 'no node of a device can be made in a user namespace',
    control: async ({ beside }) => {
      const tar = (await archive([{ name: 'zero', type: 'character-device', devmajor: 1, devminor: 5, mode: 0o666 }])).toString('base64')
      return (await beside.run(`cd "$(mktemp -d)" && echo ${tar} | base64 -d | tar -x -P && find . -type c`)).trim() || null
    },
  },
]
