import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { poolDir, stateDir } from '../lib/state-dir.ts'

t.test('the state folder follows XDG_STATE_HOME, and a relative one counts as unset', async (t) => {
  t.equal(stateDir({ XDG_STATE_HOME: '/var/x', HOME: '/home/u' }), '/var/x/slotpool')
  t.equal(stateDir({ XDG_STATE_HOME: 'x', HOME: '/home/u' }), '/home/u/.local/state/slotpool')
  t.equal(stateDir({ HOME: '/home/u' }), '/home/u/.local/state/slotpool')
})

t.test('the folder of a pool is made, and closed to others', async (t) => {
  const env = { XDG_STATE_HOME: t.testdir({}) }
  const folder = poolDir('p', 'docker', env)
  t.equal(folder, join(stateDir(env), 'docker', 'p'))
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(stateDir(env)).mode & 0o777, 0o700)
})

t.test('a folder that others may enter is closed to them', async (t) => {
  const env = { XDG_STATE_HOME: t.testdir({}) }
  mkdirSync(stateDir(env))
  chmodSync(stateDir(env), 0o755)
  poolDir('p', 'docker', env)
  t.equal(statSync(stateDir(env)).mode & 0o777, 0o700)
})

t.test('a folder that cannot be made is an error that names it', async (t) => {
  const env = { XDG_STATE_HOME: t.testdir({ slotpool: '' }) }
  t.throws(() => poolDir('p', 'docker', env), { code: 'BACKEND_UNAVAILABLE', message: /state folder .*slotpool\/docker cannot be made/ })
})

t.test('an XDG_STATE_HOME that is no folder is named', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  for (const base of [file, join(file, 'below')]) {
    t.throws(() => poolDir('p', 'docker', { XDG_STATE_HOME: base }), {
      code: 'CONFIG_INVALID',
      message: `XDG_STATE_HOME: got ${JSON.stringify(base)}, which is no folder; expected one of one's own`,
      details: { variable: 'XDG_STATE_HOME', got: base },
    })
  }
})

t.test('without a HOME that is a path, the user’s own counts', async (t) => {
  for (const env of [{}, { HOME: '' }, { HOME: 'x' }]) t.equal(stateDir(env), join(userInfo().homedir, '.local/state/slotpool'))
})

t.test('the first folder that cannot be made is named, with why', async (t) => {
  // Told to make all of them at once, Node never ends there.
  t.throws(() => poolDir('p', 'docker', { HOME: '/proc/none' }), {
    code: 'BACKEND_UNAVAILABLE',
    message: 'the state folder /proc/none cannot be made or read: ENOENT',
    details: { path: '/proc/none' },
  })
  const folder = t.testdir({ link: t.fixture('symlink', 'nowhere'), file: '' })
  t.throws(() => poolDir('p', 'docker', { HOME: join(folder, 'link') }), {
    code: 'BACKEND_UNAVAILABLE',
    message: /link cannot be .*EEXIST/,
  })
  t.throws(() => poolDir('p', 'docker', { HOME: join(folder, 'file') }), {
    code: 'BACKEND_UNAVAILABLE',
    message: /\.local cannot be .*ENOTDIR/,
  })
})
