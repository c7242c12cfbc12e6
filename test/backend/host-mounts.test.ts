import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkRemoteMounts, resolveMounts } from '../../lib/backend/host-mounts.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'

/** A folder with `data/file`, `link` to `data`, `state` for slotpool, and `escape` to `/`. */
function host(t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'slotpool-mounts-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'data'))
  writeFileSync(join(folder, 'data', 'file'), '')
  symlinkSync('data', join(folder, 'link'))
  symlinkSync('/', join(folder, 'escape'))
  mkdirSync(join(folder, 'home', 'state', 'slotpool', 'local'), { recursive: true })
  const env = { XDG_STATE_HOME: join(folder, 'home', 'state') }
  const resolve = (path: string, options: SlotPoolOptions = {}) =>
    resolveMounts(loadConfig({ mounts: [{ host: path.startsWith('/') ? path : join(folder, path), target: '/in' }], ...options }, {}), env)
  return { folder, resolve }
}

t.test('what is there is mounted, links followed', async (t) => {
  const { folder, resolve } = host(t)
  t.match(await resolve('data'), [{ source: join(folder, 'data'), target: '/in', readOnly: true }])
  t.match(await resolve('link/file'), [{ source: join(folder, 'data', 'file'), host: join(folder, 'link/file') }])
  t.match(await resolve('link', { mountAllow: [join(folder, 'link')] }), [{ source: join(folder, 'data') }])
  t.same(await resolveMounts(loadConfig({ isolation: 'none' }, {})), [])
})

t.test('what is not mounted', async (t) => {
  const { folder, resolve } = host(t)
  const refused = (path: string, message: RegExp, options?: SlotPoolOptions) =>
    t.rejects(resolve(path, options), { code: 'MOUNT_INVALID', message, details: { target: '/in' } }, path)
  await refused('nothing', /no such file/)
  await refused('/dev/null', /neither a folder nor a file/)
  for (const path of ['/', '/proc', '/sys/kernel', '/run', '/var/run', 'escape', 'escape/proc']) await refused(path, /is never mounted/)
  for (const path of ['home', 'home/state', 'home/state/slotpool', 'home/state/slotpool/local']) await refused(path, /slotpool's own state/)
  const mountAllow = [join(folder, 'data')]
  for (const path of ['home', 'escape/etc', folder]) await refused(path, /lies outside of .*data/, { mountAllow })
  await refused('data', /lies outside/, { mountAllow: [join(folder, 'dat')] })
  await refused('home', /slotpool's own state/, { mountAllow: ['/'] })
  for (const isolation of ['uid', 'none'] as const) await refused('data', new RegExp(`isolation ${isolation} cannot`), { isolation })
})

t.test('what the operator named may be mounted', async (t) => {
  const { resolve } = host(t)
  t.match(await resolve('/proc/self/fd', { mountAllow: ['/proc'] }), [{ target: '/in' }])
})

t.test('another machine is judged by the paths alone', async (t) => {
  const check = (path: string, options: SlotPoolOptions = {}) =>
    checkRemoteMounts(loadConfig({ mounts: [{ host: path, target: '/in' }], ...options }, {}))
  check('/nothing/such')
  check('/run/x', { mountAllow: ['/run'] })
  for (const [path, options] of [
    ['/', {}],
    ['/x/../proc', {}],
    ['/data', { mountAllow: ['/srv'] }],
    ['/srv/../data', { mountAllow: ['/srv'] }],
    ['/srv', { isolation: 'uid' }],
  ] as const) {
    t.throws(() => check(path, options), { code: 'MOUNT_INVALID' }, path)
  }
})
