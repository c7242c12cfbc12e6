import t from 'tap'
import { lockedEnvironment, slotEnvironment } from '../../lib/sandbox/environment.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(60_000)

const slot = { user: 'agent', view: { workspace: '/workspace', home: '/home/agent', tmp: '/tmp' } }
const root = { user: 'root', view: { workspace: '/workspace', home: '/root', tmp: '/tmp', runtime: '/run/user/0' } }

t.test('who and where a command is', async (t) => {
  t.match(lockedEnvironment(slot), { HOME: '/home/agent', USER: 'agent', LOGNAME: 'agent', XDG_STATE_HOME: '/home/agent/.local/state' })
  t.notOk('XDG_RUNTIME_DIR' in lockedEnvironment(slot))
  t.match(lockedEnvironment(root), { HOME: '/root', USER: 'root', XDG_RUNTIME_DIR: '/run/user/0', SLOTPOOL_WORKSPACE: '/workspace' })
})

t.test('what an image sets is the command’s, but for what a slot has itself', async (t) => {
  const imageEnvironment = { PATH: '/opt/conda/bin:/bin', LANG: 'de_DE.UTF-8', HOME: '/home/me', PAGER: 'less', CONDA: '1', A: 'image' }
  const image = { ...root, shell: '/run/slotpool/bin/bash', imageEnvironment }
  const { env, skipped } = slotEnvironment(image, { env: { A: 'caller', PATH: '/x' }, allowEnv: [] }, 'e1')
  t.match(env, { PATH: '/opt/conda/bin:/bin', LANG: 'de_DE.UTF-8', CONDA: '1', A: 'caller', HOME: '/root', PAGER: 'cat' })
  t.equal(env.SHELL, '/run/slotpool/bin/bash')
  t.same(skipped, ['PATH'])
  t.match(lockedEnvironment({ ...image, imageEnvironment: { PATH: '' } }), { PATH: lockedEnvironment(root).PATH })
})

t.test('what the caller adds', async (t) => {
  const of = (env: Record<string, string>, allowEnv: string[] = []) => slotEnvironment(slot, { env, allowEnv }, 'e1')
  t.match(of({ A: '1', API_KEY: '2', 'BASH_FUNC_f%%': '3', LD_PRELOAD: '4', __proto__x: '5' }), {
    env: { A: '1', API_KEY: '2', 'BASH_FUNC_f%%': '3', LD_PRELOAD: '4', HOME: '/home/agent', SLOTPOOL_EXECUTION_ID: 'e1' },
    skipped: [],
  })
  const reserved = [
    'PATH',
    'HOME',
    'XDG_RUNTIME_DIR',
    'SLOTPOOL_X',
    'NOMAD_TOKEN',
    'AWS_PROFILE',
    'SSH_AUTH_SOCK',
    'OPENAI_API_KEY',
    'X_API_BASE',
  ]
  const theirs = Object.fromEntries(reserved.map((name) => [name, 'theirs']))
  const refused = of(theirs)
  t.same(refused.skipped, reserved)
  t.same(refused.env, { ...lockedEnvironment(slot), SLOTPOOL_EXECUTION_ID: 'e1' })
  const allowed = of(theirs, reserved)
  t.same(allowed.skipped, [])
  t.match(allowed.env, theirs)
  t.same(of({ OPENAI_API_KEY: 'a', XAI_API_KEY: 'b' }, ['XAI_API_KEY', 'OTHER']).skipped, ['OPENAI_API_KEY'], 'by name')
  t.match(of({ SLOTPOOL_EXECUTION_ID: 'mine' }, ['SLOTPOOL_EXECUTION_ID']), {
    env: { SLOTPOOL_EXECUTION_ID: 'e1' },
    skipped: ['SLOTPOOL_EXECUTION_ID'],
  })
  t.same(of({ home: 'x', MY_API_KEYS: 'y' }).skipped, [], 'nothing else')
})

t.test('a command sees exactly that, and nothing of what its server was started with', async (t) => {
  process.env.OPENAI_API_KEY = 'of the server'
  process.env.NOMAD_TOKEN = 'of the server'
  t.teardown(() => {
    delete process.env.OPENAI_API_KEY
    delete process.env.NOMAD_TOKEN
  })
  const { client, lease } = await sandboxServer(t, { isolation: 'none' })
  const { leaseId, workspace, home, tmp, user } = await lease('a')
  const request = { env: { A: '1', XAI_API_KEY: 'k', PATH: '/nowhere' }, allowEnv: ['XAI_API_KEY'] }
  const { stdout, skippedEnv } = await ran(client, leaseId, 'env -0', { request, executionId: 'e1' })
  t.same(skippedEnv, ['PATH'])
  const seen = Object.fromEntries(
    stdout
      .split('\0')
      .slice(0, -1)
      .map((entry) => [entry.split('=')[0], entry.slice(entry.indexOf('=') + 1)]),
  )
  // What bash and the jail add of their own.
  for (const name of ['PWD', 'OLDPWD', 'SHLVL', '_', 'SLOTPOOL_SLOT']) delete seen[name]
  t.same(seen, { ...lockedEnvironment({ user, view: { workspace, home, tmp } }), A: '1', XAI_API_KEY: 'k', SLOTPOOL_EXECUTION_ID: 'e1' })
})
