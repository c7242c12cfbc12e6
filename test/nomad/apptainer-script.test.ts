import { execFile } from 'node:child_process'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { findProgram } from '../../lib/backend/find-program.ts'
import { apptainerScript } from '../../lib/nomad/apptainer-script.ts'

/** Runs the script as Nomad would, with an Apptainer that prints its environment and its words, each ended by NUL. */
async function become(t: Test, options: { program?: string; image?: string; words?: string[]; env?: Record<string, string> } = {}) {
  const { program = 'apptainer', image = 'docker://a', words = [], env = {} } = options
  const tools = ['cat', 'env', 'id', 'mkdir', 'printenv', 'sed', 'tr']
  const links = tools.map((name) => [name, t.fixture('symlink', findProgram(name, process.env.PATH) ?? name)])
  // An Apptainer of this machine's is not among them.
  const bin = t.testdir({ ...Object.fromEntries(links), [program]: '#!/bin/sh\nenv -0\nprintf "%s\\0" -- "$@"\n', 'a.sif': '' })
  chmodSync(join(bin, program), 0o755)
  const nomad = { NOMAD_TASK_DIR: join(bin, 'task'), NOMAD_ALLOC_DIR: '/alloc', NOMAD_SECRETS_DIR: '/secrets', NOMAD_IP_http: '192.0.2.1' }
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', apptainerScript, 'sh', 'node-1', image, ...words], {
    env: { PATH: bin, NOMAD_HOST_IP_http: '192.0.2.2', ...nomad, ...env },
  })
  const said = stdout.split('\0').slice(0, -1)
  const at = said.indexOf('--')
  return { bin, env: said.slice(0, at), words: said.slice(at + 1) }
}

t.test('a contained Apptainer with an environment made from nothing', async (t) => {
  const given = { HOME: '/home/x', NOMAD_TOKEN: 'secret', APPTAINERENV_LD_PRELOAD: 'x', APPTAINER_BIND: '/etc', SINGULARITY_NO_EVAL: '1' }
  const { bin, env, words } = await become(t, { words: ['--mount', 'type=bind,src=/a b', 'docker://a', 'node', '$x "y"'], env: given })
  t.strictSame(env.filter((one) => !/^(PWD|SHLVL|_)=/.test(one)).sort(), [
    'APPTAINER_TMPDIR=/alloc/tmp',
    'HOME=/home/x',
    `PATH=${bin}`,
    'SINGULARITY_TMPDIR=/alloc/tmp',
  ])
  t.strictSame(words.slice(0, 6), ['--quiet', 'exec', '--containall', '--no-home', '--pwd', '/'])
  t.strictSame(words.slice(-5), ['--mount', 'type=bind,src=/a b', 'docker://a', 'node', '$x "y"'])
  for (const bind of [`${bin}/task/slotpool:/var/lib/slotpool`, '/secrets/token:/run/slotpool/token:ro', '/dev/full']) {
    t.equal(words[words.indexOf(bind) - 1], '--bind', bind)
  }
  for (const passed of ['NOMAD_IP_http=192.0.2.1', 'NOMAD_HOST_IP_http=192.0.2.2'])
    t.equal(words[words.indexOf(passed) - 1], '--env', passed)
  t.ok(existsSync(join(bin, 'task', 'slotpool')))
  t.equal(
    (await become(t)).env.some((one) => one.startsWith('HOME=')),
    false,
    'one that is not set is not made up',
  )
})

t.test('root gives up the capabilities that it does not have, and no other', async (t) => {
  const { words } = await become(t)
  const given = words.indexOf('--drop-caps')
  const bounding = BigInt(`0x${/^CapBnd:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`)
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'))
  const lacking = Array.from({ length: last + 1 }, (_, bit) => bit).filter((bit) => ((bounding >> BigInt(bit)) & 1n) === 0n)
  const names = given < 0 ? [] : (words[given + 1] ?? '').split(',')
  t.equal(names.length, process.geteuid?.() === 0 ? lacking.length : 0)
  if (names.length > 0 && lacking.includes(24)) t.ok(names.includes('CAP_SYS_RESOURCE'))
  t.ok(names.every((name) => /^CAP_[A-Z_]+$/.test(name)))
})

t.test('Singularity where there is no Apptainer', async (t) => {
  t.match((await become(t, { program: 'singularity' })).words, ['--quiet', 'exec'])
})

t.test('what a node lacks is one line that is an error', async (t) => {
  const failing = async (image: string, path: string) => {
    const call = promisify(execFile)('/bin/sh', ['-c', apptainerScript, 'sh', 'node "1"', image], { env: { PATH: path } })
    const { code, stderr } = await call.then(
      () => ({ code: 0, stderr: '' }),
      (error) => error,
    )
    t.equal(code, 1)
    t.match(stderr, /^slotpool-error: \{[^\n]*\}\n$/)
    return JSON.parse(stderr.slice('slotpool-error: '.length))
  }
  const { bin } = await become(t)
  t.match(await failing('/no "such" \\ one.sif', bin), {
    code: 'IMAGE_NOT_FOUND',
    message: /^node node "1" has no image \/no "such" \\ one\.sif that its Nomad agent may read/,
    retryable: false,
  })
})
