import type { Attempt, Scene } from '../attempt.ts'
import { newFolder, quoted } from '../beside.ts'

/**
 * Leaves things for the server's wipe, which goes through the slot's folders with the server's rights: links to what lies outside, which it
 * would delete or open to all; folders that it cannot go through, which would stay for the next tenant.
 */
async function precious({ beside, mark, after }: Scene): Promise<string> {
  const folder = await newFolder(beside)
  after(() => beside.run(`chmod 755 ${folder}; rm -rf -- ${folder}`))
  await beside.run(
    `mkdir ${folder}/${mark}; echo x > ${folder}/${mark}/file; chmod 700 ${folder}/${mark}; chmod 600 ${folder}/${mark}/file; chmod 755 ${folder}`,
  )
  return folder
}

async function harmed({ beside, mark }: Scene, folder: string): Promise<string | null> {
  const said = await beside.run(`cat ${folder}/${mark}/file; stat -c '%a %n' ${folder} ${folder}/${mark} ${folder}/${mark}/file`)
  return said === `x\n755 ${folder}\n700 ${folder}/${mark}\n600 ${folder}/${mark}/file\n` ? null : said || 'it is gone'
}

/** Released, and every slot idle again: the wipe goes on behind the release. */
async function wiped({ beside, mark }: Scene, release: () => Promise<void>): Promise<string | null> {
  await release()
  const { stateDir } = beside.server
  const find = `find ${stateDir}/slots -name ${quoted(`*${mark}*`)} 2> /dev/null | head -n 3`
  for (let look = 0; look < 400; look++) if ((await beside.run(find)) === '') return null
  return `it is still there: ${await beside.run(find)}`
}

export const attempts: Attempt[] = [
  {
    name: 'wipe: links to folders outside',
    escape: async (scene) => {
      const folder = await precious(scene)
      await scene.attacker.exec(
        `for n in 1 2 3; do mkdir -p ${scene.mark}/d$n && ln -s ${folder} ${scene.mark}/d$n/link && ln -s ${folder}/${scene.mark} ${scene.mark}/link$n; done; ln -s ${folder}/ "$HOME/${scene.mark}"; chmod 000 ${scene.mark}/d1`,
      )
      return (await wiped(scene, () => scene.attacker.release())) ?? harmed(scene, folder)
    },
    // What follows links, as a glob with a slash at its end does.
    control: async (scene) => {
      const folder = await precious(scene)
      await scene.beside.run(`cd "$(mktemp -d)"; ln -s ${folder} link; find -L . -type f -delete`)
      return harmed(scene, folder).catch((error: Error) => `it is gone: ${error.message}`)
    },
  },
  {
    name: 'wipe: a folder that becomes a link while it goes through',
    escape: async (scene) => {
      const folder = await precious(scene)
      // Goes on until the release ends it.
      await scene.attacker.exec(
        `mkdir -p ${scene.mark}; cd ${scene.mark}; for n in $(seq 300); do mkdir -p d$n/${scene.mark}; done
         (while :; do for n in $(seq 300); do mv d$n e$n; ln -s ${folder} d$n; rm d$n; mv e$n d$n; done; done) > /dev/null 2>&1 &`,
      )
      return (await wiped(scene, () => scene.attacker.release())) ?? harmed(scene, folder)
    },
    control: async (scene) => {
      const folder = await precious(scene)
      // Looks first, acts then, by path.
      await scene.beside.run(`cd "$(mktemp -d)"; mkdir d; [ -d d ] && rmdir d && ln -s ${folder} d; cd d && find . -type f -delete`)
      return harmed(scene, folder).catch((error: Error) => `it is gone: ${error.message}`)
    },
  },
  {
    name: 'wipe: folders that are closed, deep, many, and oddly named',
    escape: async (scene) => {
      const { mark } = scene
      await scene.attacker.exec(
        `mkdir -p ${mark}/closed/inner && touch ${mark}/closed/inner/file && chmod 000 ${mark}/closed/inner ${mark}/closed
         cd ${mark} && touch -- '-rf' '--' "$(printf 'new\\nline')" "$(printf '\\033[2J')" "$(printf '\\377\\376')" '*' ' ' && mkdir -- '-p'
         perl -e 'for (1 .. 3000) { mkdir "d" or die "$_: $!"; chdir "d" or die $! } open(my $f, ">", "bottom")'
         seq 2000 | sed 's/^/many-/' | xargs touch; mkfifo pipe; chmod 500 .`,
        { timeoutMs: 30_000 },
      )
      return wiped(scene, () => scene.attacker.release())
    },
    control: async ({ beside, mark }) => {
      // By paths, as a naive wipe goes.
      const said = await beside.run(`cd "$(mktemp -d)" && mkdir ${mark} && perl -e 'for (1 .. 3000) { mkdir "d" or die; chdir "d" or die }'
        perl -e 'sub wipe { my ($at) = @_; opendir(my $d, $at) or return; for (grep { !/^\\.\\.?$/ } readdir $d) { -d "$at/$_" ? wipe("$at/$_") : unlink "$at/$_" } rmdir $at } no warnings; wipe("d")'
        [ -e d ] && echo it is still there; true`)
      return said.trim() || null
    },
  },
  {
    name: 'wipe: files that nothing may change',
    escape: async (scene) => {
      const { mark } = scene
      // Immutable, and append only: chattr by its call, where the filesystem and the rights allow it.
      await scene.attacker.exec(
        `mkdir ${mark}; touch ${mark}/i ${mark}/a; perl -e 'for (["${mark}/i", 0x10], ["${mark}/a", 0x20], ["${mark}", 0x10]) { open(my $f, "<", $_->[0]); my $v = pack("l!", $_->[1]); ioctl($f, 0x40086602, $v) and print "GOT\\n" }'`,
      )
      return wiped(scene, () => scene.attacker.release())
    },
    control: async ({ beside, mark }) => {
      const said =
        await beside.run(`cd ${beside.server.stateDir} && touch ${mark} && perl -e 'open(my $f, "<", "${mark}"); my $v = pack("l!", 0x10); ioctl($f, 0x40086602, $v) or print "no: $!\\n"'
        rm -f ${mark} 2> /dev/null; [ -e ${mark} ] && echo it is still there; perl -e 'open(my $f, "<", "${mark}"); my $v = pack("l!", 0); ioctl($f, 0x40086602, $v)'; rm -f ${mark}`)
      return said.includes('still there') ? said : null
    },
    controlNeedsRoot: 'only root may make a file immutable',
  },
  {
    name: 'wipe: mounts left below the slot’s folders',
    escape: async (scene) => {
      const folder = await precious(scene)
      await scene.attacker.exec(
        `mkdir -p ${scene.mark}/at; unshare -Umr bash -c 'mount -t tmpfs none ${scene.mark}/at && touch ${scene.mark}/at/x && sleep 600' > /dev/null 2>&1 & mount --bind ${folder} ${scene.mark}/at; mount --bind / ${scene.mark}/at; sleep 0.2; true`,
      )
      return (await wiped(scene, () => scene.attacker.release())) ?? harmed(scene, folder)
    },
    // A mount that is left there, and a wipe that goes through it.
    control: async (scene) => {
      const folder = await precious(scene)
      await scene.beside.run(
        `cd "$(mktemp -d)"; mkdir at; unshare --mount bash -c 'mount --bind ${folder} at && rm -rf at/* 2> /dev/null'; true`,
      )
      return harmed(scene, folder).catch((error: Error) => `it is gone: ${error.message}`)
    },
  },
]
