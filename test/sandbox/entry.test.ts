import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { readReport } from '../../lib/sandbox/entry.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()
const asRoot = process.geteuid?.() === 0

t.setTimeout(60_000)

for (const isolation of ['jail', 'none'] as const) {
  t.test(`isolation ${isolation}: the caller's variables reach the command's own bash alone`, async (t) => {
    const { client, lease } = await sandboxServer(t, { isolation })
    const { leaseId, workspace } = await lease('a')
    const run = (command: string, env: Record<string, string> = {}, cwd?: string) =>
      ran(client, leaseId, command, { request: { env, allowEnv: ['PATH'], ...(cwd === undefined ? {} : { cwd }) } })
    await run(`mkdir -p bin folder/sub sub; echo 'echo once >> log' > once.sh; echo '${sleeper.command(26)} &' > background.sh`)

    t.equal((await run('cat log', { BASH_ENV: `${workspace}/once.sh` })).stdout, 'once\n')
    const background = await run('echo hello', { BASH_ENV: `${workspace}/background.sh` })
    t.match(background, { stdout: 'hello\n', stderr: '', exitCode: 0 }, 'nor does a background process of it hold the answer up')
    t.match(await run('pwd', { CDPATH: `${workspace}/folder` }, 'sub'), { stdout: `${workspace}/sub\n`, stderr: '' })
    t.match(await run('echo hello', { SHELLOPTS: 'xtrace' }), { stdout: 'hello\n', stderr: '+ echo hello\n' })
    t.match(await run('echo hello', { PATH: `${workspace}/bin` }), { stdout: 'hello\n', exitCode: 0 })
    t.match(await run('echo hello', { 'BASH_FUNC_printf%%': '() { :; }', 'a.b': 'c' }), { stdout: 'hello\n', stderr: '', exitCode: 0 })
    const odd = ' a\n"b" $HOME \\ ä\t'
    t.equal((await run('printf %s "$ODD"', { ODD: odd })).stdout, odd)
    t.equal((await run('printf %s "$SLOTPOOL_EXECUTION_ID"', { SLOTPOOL_EXECUTION_ID: 'mine' })).stdout.startsWith('execution-'), true)
    await client.release(leaseId)
  })

  t.test(`isolation ${isolation}: how the command finds itself`, async (t) => {
    const { client, lease } = await sandboxServer(t, { isolation })
    const { leaseId, workspace } = await lease('a')
    const run = (command: string, cwd?: string) => ran(client, leaseId, command, { request: cwd === undefined ? {} : { cwd } })
    t.match(await run('echo "$0 $#"; nothing-such'), { stdout: 'bash 0\n', stderr: 'bash: line 1: nothing-such: command not found\n' })
    t.match(await run('-x'), { stderr: /-x: command not found/, exitCode: 127 }, 'no option of bash')
    t.match(await run('[ -e /proc/$$/fd/3 ]'), { exitCode: 1 }, 'nothing is left of what it was handed over by')
    t.match(await run('mkdir folder; ln -s folder link; exit 7'), { exitCode: 7 })
    t.equal((await run('pwd', 'link')).stdout, `${workspace}/link\n`)
    t.match(await run('kill -9 $$'), { exitCode: null, signal: 'SIGKILL' })
  })
}

t.test("the values of the caller's variables are in no process list", async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail' })
  const { leaseId } = await lease('a')
  const secret = `secret-${process.pid}`
  const request = { env: { SECRET: secret } }
  let seen: Promise<string> | undefined
  const onStdout = () => {
    seen ??= promisify(execFile)('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"; :'])
      .then(({ stdout }) => stdout)
      .finally(() => ran(client, leaseId, 'touch seen'))
  }
  const { stdout } = await ran(client, leaseId, 'echo "$SECRET"; until [ -e seen ]; do sleep 0.01; done', { request, onStdout })
  t.equal(stdout, `${secret}\n`)
  t.notMatch(await seen, secret)
})

t.test(
  'a workspace that may not be entered is named',
  { skip: asRoot ? false : 'an ordinary user enters through the namespace' },
  async (t) => {
    const { client, lease } = await sandboxServer(t, { isolation: 'jail' })
    const { leaseId, workspace } = await lease('a')
    await ran(client, leaseId, 'rmdir "$PWD"')
    await t.rejects(ran(client, leaseId, 'pwd'), {
      code: 'CWD_NOT_FOUND',
      details: { cwd: workspace },
      message: new RegExp(`got cwd ${workspace}`),
    })
  },
)

t.test('what the entry says', async (t) => {
  t.same(readReport(''), { started: false })
  t.same(readReport('star'), { started: false })
  t.same(readReport('started\n'), { started: true })
  t.same(readReport('started\nnot-run 126'), { started: false, tooLong: true })
  t.same(readReport('started\nnot-run 127'), { started: false })
  t.same(readReport('no-cwd slotpool: line 3: cd: x: No such file or directory'), { started: false, noCwd: 'x: No such file or directory' })
})
