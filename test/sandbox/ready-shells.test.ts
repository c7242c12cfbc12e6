import t, { type Test } from 'tap'
import { ran, type ServerUnderTest, sandboxServer } from '../fixtures/sandbox-server.ts'

/** Without control groups an execution could not be told from its slot once it has waited there. */
const asRoot = process.geteuid?.() === 0
const skip = asRoot ? false : 'shells are made ready where executions have control groups, which takes root'

/** The arguments of a shell that has waited end in what was left of the room for its command. */
const hasWaited = '[ "$(tail -c 2 /proc/$$/cmdline | tr "\\0" x)" = xx ]'

let executions = 0

async function leased(t: Test): Promise<{ one: ServerUnderTest; leaseId: string; run: (script: string) => Promise<string> }> {
  const one = await sandboxServer(t, { isolation: 'jail', slots: 1 })
  const { leaseId } = await one.lease('a')
  const run = async (script: string): Promise<string> => {
    const { stdout, stderr, exitCode } = await ran(one.client, leaseId, script, { executionId: `of-one-length-${1000 + executions++}` })
    t.equal(stderr, '', script)
    t.equal(exitCode, 0, script)
    return stdout
  }
  await run(':')
  return { one, leaseId, run }
}

t.test('the next command finds a shell that has waited for it', { skip }, async (t) => {
  const { run } = await leased(t)
  await run(hasWaited)
  t.equal(
    await run('echo "$SLOTPOOL_EXECUTION_ID" | cmp - <(tr "\\0" "\\n" < /proc/$$/environ | sed -n "s/^SLOTPOOL_EXECUTION_ID=//p")'),
    '',
  )
  const quotes = `echo ${"\\'".repeat(500)}`
  t.equal(await run(`${hasWaited}; ${quotes}`), `${"'".repeat(500)}\n`)
  await run(`: ${'x'.repeat(5000)}`)
  await run(`${hasWaited}; : ${'x'.repeat(5000)}`)
  t.equal(await run(`echo ${'x'.repeat(20_000)}`), `${'x'.repeat(20_000)}\n`, 'one that is too long for a shell that waits')
})

t.test('what changed while it waited is as it would be for a fresh one', { skip }, async (t) => {
  const { one, leaseId, run } = await leased(t)
  const inside = async (script: string): Promise<string> => (await ran(one.client, leaseId, script, { request: { cwd: 'here' } })).stdout
  await run('mkdir here')
  await inside(':')
  await inside('cd ..; rm -r here; mkdir here; touch here/new')
  t.equal(await inside('ls; readlink /proc/$$/cwd'), 'new\n/workspace/here\n', 'its folder was replaced')
  await inside('cd ..; rm -r here')
  await t.rejects(ran(one.client, leaseId, ':', { request: { cwd: 'here' } }), { code: 'CWD_NOT_FOUND' })

  await run(':')
  await run('cp /usr/bin/bash /usr/bin/other && mv /usr/bin/other /usr/bin/bash')
  await run('[ "$BASH" -ef /proc/$$/exe ]')
  await run('cp /usr/bin/bash /usr/local/bin')
  t.equal(await run('echo $BASH'), '/usr/local/bin/bash\n')
  await run('rm /usr/local/bin/bash')
  t.equal(await run('echo $BASH'), '/usr/bin/bash\n')
})

t.test('one that was stopped or ended while it waited keeps no command from being run', { skip }, async (t) => {
  const { run } = await leased(t)
  const nextWaits = 'until grep -qsz "^# waits" /proc/[0-9]*/cmdline; do :; done'
  await run(`${nextWaits}; kill -STOP -1`)
  t.equal(await run('echo hello'), 'hello\n')
  await run(`${nextWaits}; kill -9 -1`)
  t.equal(await run('echo hello'), 'hello\n')
})

t.test('one that is kept from listening keeps a command waiting for a second at most', { skip }, async (t) => {
  const { run } = await leased(t)
  const stop = 'while IFS=/ read -r _ _ pid _; do kill -STOP $pid; done'
  await run(`(while :; do grep -lsz "^# waits" /proc/[0-9]*/cmdline | ${stop}; done) > /dev/null 2>&1 &`)
  for (let at = 0; at < 3; at++) t.equal(await run('echo hello'), 'hello\n')
})

t.test('what it waits on and reads is not its tenant’s to keep', { skip }, async (t) => {
  const { run } = await leased(t)
  const files = 'for file in $(grep -lsz "^# waits" /proc/[0-9]*/cmdline | sed "s,cmdline,fd/*,")'
  await run('until grep -qsz "^# waits" /proc/[0-9]*/cmdline; do :; done')
  t.equal(await run(`${files}; do [ -f $file ] && (echo rubbish > $file) 2> /dev/null && echo written; done; true`), '')
  // Whoever wakes it has no command for it; the next is given another. What it only writes to are the streams of a command to come.
  // A shell that is found may have ended by then.
  await run(`${files}; do ([ -p $file ] && [ "$(find $file -perm 500)" ] && echo > $file) 2> /dev/null & done; true`)
  await run(':')
  for (let at = 0; at < 3; at++) t.equal(await run('echo hello'), 'hello\n')
})

t.test('one that somebody else wakes while it is given its command runs that, and once', { skip }, async (t) => {
  const { run } = await leased(t)
  // What it reads from, as opposed to the streams of a command.
  const wake = 'while IFS=/ read -r _ _ pid _; do for fd in $(find /proc/$pid/fd -perm 500); do [ -p $fd ] && echo > $fd; done; done'
  await run(`(while :; do grep -lsz "^# waits" /proc/[0-9]*/cmdline | ${wake}; done) > /dev/null 2>&1 &`)
  const numbers = Array.from({ length: 150 }, (_, at) => String(at))
  for (const at of numbers) t.equal(await run(`echo ${at} >> lines; echo ${at}`), `${at}\n`)
  t.same((await run('cat lines')).trim().split('\n'), numbers)
})

t.test('a command is run once, though shells that wait are being ended all the time', { skip }, async (t) => {
  const { one, leaseId, run } = await leased(t)
  const end = 'while IFS=/ read -r _ _ pid _; do kill -9 $pid; done'
  await run(`(while :; do grep -lz "^# waits" /proc/[0-9]*/cmdline | ${end}; done) > /dev/null 2>&1 &`)
  const commands = 200
  const done: number[] = []
  for (let command = 0; command < commands; command++) {
    const executionId = `of-one-length-${1000 + executions++}`
    const { exitCode, signal } = await ran(one.client, leaseId, `echo ${command} >> lines`, { executionId })
    // One that had its command by the time it was ended, is ended with it, and says so.
    if (signal !== 'SIGKILL') t.equal(exitCode, 0)
    if (exitCode === 0) done.push(command)
  }
  const lines = (await ran(one.client, leaseId, 'cat lines')).stdout.trim().split('\n').map(Number)
  t.ok(done.length > commands / 2, `${done.length} commands came to their end`)
  t.equal(new Set(lines).size, lines.length, 'none was run twice')
  const written = new Set(lines)
  t.same(
    done.filter((command) => !written.has(command)),
    [],
    'what came to its end was run',
  )
})

t.test('a row of commands finds as many shells as the last one was long, and for a while', { skip }, async (t) => {
  const { run } = await leased(t)
  const count = 'grep -sz "^# waits" /proc/[0-9]*/cmdline | tr -cd "#" | wc -c'
  // On a busy machine a row may be broken by a pause, and counts as shorter ones.
  let waiting = ''
  while (Number(waiting) < 8) {
    for (let at = 0; at < 12; at++) await run(':')
    waiting = await run(`for try in $(seq 30); do [ $(${count}) -ge 8 ] && break; sleep 0.1; done; ${count}`)
  }
  t.equal(waiting, '8\n', 'when it rests, and never more')
  t.equal(await run(`until [ $(${count}) = 1 ]; do sleep 0.1; done; ${count}`), '1\n')
})

t.test('commands that come at once do not wait for one another', { skip }, async (t) => {
  const { run } = await leased(t)
  await run('mkfifo fifo')
  const [read] = await Promise.all([run('cat fifo'), run('echo through > fifo')])
  t.equal(read, 'through\n')
})
