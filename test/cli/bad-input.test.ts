import { readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { tokenPath } from '../../lib/backend/token-file.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { poolDir } from '../../lib/state-dir.ts'
import { type CliResult, cli } from '../fixtures/cli.ts'
import { answering, deadAddress } from '../fixtures/fake-nomad.ts'
import { localLeft } from '../fixtures/local-pool.ts'
import { dockerSkip } from '../fixtures/require-service.ts'

/** One error: its code, its message and what to do. */
function failed(t: Test, result: CliResult, code: string, says: RegExp): void {
  t.match(result, { code: 125, signal: null, stdout: '' })
  t.ok(result.stderr.startsWith(`slotpool: ${code}: `), result.stderr)
  t.match(result.stderr, says)
  t.match(result.stderr, /^slotpool: .+\n[A-Z].+\.\n$/, 'two lines: what happened and what to do')
}

t.test('a command that is none', async (t) => {
  const { run, bash, pool } = await cli(t)
  failed(t, await run(['exec', '']), 'COMMAND_INVALID', /empty/)
  failed(t, await run(['exec', '  ', '\n']), 'COMMAND_INVALID', /empty/)
  failed(t, await bash("slotpool exec $'echo \\xff\\xfe'"), 'COMMAND_INVALID', /not UTF-8/)
  failed(t, await bash("slotpool exec --env A=$'\\xff' 'echo $A'"), 'COMMAND_INVALID', /not UTF-8/)
  // No single argument of a program may be this long, but together they may.
  failed(t, await run(['exec', 'echo', 'x'.repeat(100_000), 'x'.repeat(100_000)]), 'COMMAND_INVALID', /200006 bytes/)
  t.same(await localLeft(pool), [], 'no pool was made for them')
  t.match(await run(['exec', 'echo \ufffd']), { code: 0, stdout: '\ufffd\n' }, 'U+FFFD itself is text')
})

t.test('what the pool refuses', async (t) => {
  const { run, pool } = await cli(t, { TERMINAL_NOMAD_SLOTS: '1', TERMINAL_NOMAD_MAX: '1' })
  const theirs = await SlotPool.open({ env: 'local', pool, slots: 1, max: 1, owner: 'somebody else' })
  t.teardown(() => theirs.close())
  await theirs.lease('theirs')
  failed(t, await run(['exec', '--task-id', 'theirs', 'ls']), 'LEASE_OWNER_MISMATCH', /task theirs is leased by somebody else/)
  failed(t, await run(['exec', 'ls'], { TERMINAL_TIMEOUT: '0.2' }), 'POOL_FULL', /1 of 1 slots are leased in 1 of at most 1 containers/)
  failed(t, await run(['release', '--task-id', 'nobody']), 'TASK_NOT_FOUND', /task nobody has no slot/)
  failed(t, await run(['exec', '--slots', '3', 'ls']), 'POOL_CONFIG_MISMATCH', /slots 1, got 3/)
  failed(t, await run(['exec', '--task-id', '', 'ls']), 'REQUEST_INVALID', /task id: got ""/)
  await theirs.release('theirs')
  failed(t, await run(['exec', '--cwd', '/nowhere', 'ls']), 'CWD_NOT_FOUND', /\/nowhere/)
  t.match(JSON.parse((await run(['status', '--json'])).stdout).totals, { containers: 1, leased: 0 }, 'no slot was left leased')
})

t.test('a wrong token', async (t) => {
  const { run, pool } = await cli(t)
  t.match(await run(['up']), { code: 0 })
  const path = tokenPath(poolDir(pool, 'local'))
  const token = readFileSync(path, 'utf8')
  writeFileSync(path, 'x'.repeat(token.length))
  const result = await run(['exec', 'ls'])
  failed(t, result, 'UNAUTHORIZED', /token/)
  t.notMatch(result.stderr, /xxx/, 'which is not shown')
  t.match(await run(['status']), { code: 0, stdout: /unreachable: got a token that is not that of this pool/ })
  writeFileSync(path, token)
  t.match(await run(['exec', 'echo hello']), { code: 0, stdout: 'hello\n' })
})

t.test('a state folder that cannot be made', async (t) => {
  const { run } = await cli(t)
  failed(t, await run(['exec', 'ls'], { XDG_STATE_HOME: '/sys/nowhere' }), 'BACKEND_UNAVAILABLE', /\/sys\/nowhere.*XDG_STATE_HOME/)
})

t.test('Docker that does not run', async (t) => {
  const { run, env } = await cli(t)
  const gone = { TERMINAL_ENV: 'docker', DOCKER_HOST: `unix://${env.XDG_STATE_HOME}/docker.sock` }
  const results = await Promise.all([['exec', 'ls'], ['down'], ['image', 'build']].map((args) => run(args, gone)))
  for (const result of results) {
    failed(t, result, 'DOCKER_UNAVAILABLE', /docker\.sock, named by DOCKER_HOST: .*To mend it: unset DOCKER_HOST/)
  }
})

t.test('an image that is not there', { skip: await dockerSkip() }, async (t) => {
  const { run } = await cli(t)
  const missing = { TERMINAL_ENV: 'docker', TERMINAL_NOMAD_IMAGE: 'slotpool/no-such-image:1' }
  failed(t, await run(['exec', 'ls'], missing), 'IMAGE_NOT_FOUND', /slotpool\/no-such-image:1/)
  t.match(await run(['status', '--json'], missing), { code: 0, stdout: /"containers":\[\]/ })
  t.match(await run(['down'], missing), { code: 0, stdout: '', stderr: '' })
})

t.test('Nomad that does not answer', async (t) => {
  const { run } = await cli(t)
  const gone = { TERMINAL_ENV: 'nomad', TERMINAL_NOMAD_ADDRESS: await deadAddress() }
  failed(t, await run(['exec', 'ls'], gone), 'NOMAD_UNAVAILABLE', /no Nomad agent answers at http:\/\/127\.0\.0\.1:\d+; start one with/)
  const fallback = await run(['exec', 'echo hello'], { ...gone, TERMINAL_NOMAD_FALLBACK: 'local' })
  t.match(fallback, { code: 0, stdout: 'hello\n' })
  t.match(fallback.stderr, /^slotpool: no Nomad agent answers at .+; using local instead \(TERMINAL_NOMAD_FALLBACK=local\)\n$/)
})

t.test('Nomad that refuses the token', async (t) => {
  const { run } = await cli(t)
  const address = await answering(t, (_request, response) => {
    response.writeHead(403).end('Permission denied')
  })
  const result = await run(['exec', 'ls'], { TERMINAL_ENV: 'nomad', TERMINAL_NOMAD_ADDRESS: address, NOMAD_TOKEN: 'a-secret' })
  failed(t, result, 'NOMAD_FORBIDDEN', /Permission denied/)
  t.notMatch(result.stderr, /a-secret/)
})
