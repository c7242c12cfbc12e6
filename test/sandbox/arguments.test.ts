import t from 'tap'
import { listenAddress, parseArguments } from '../../lib/sandbox/arguments.ts'

const good = {
  listen: 'tcp:0.0.0.0:80',
  'token-file': '/t',
  'state-dir': '/s',
  pool: 'p',
  slots: '3',
  isolation: 'auto',
  network: 'host',
}
const argv = (values: Record<string, string>) => Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])

t.test('all that it takes', async (t) => {
  t.same(parseArguments(argv(good)), {
    ...good,
    slots: 3,
    limits: {},
    mounts: [],
    'network-allow': [],
    system: 'host',
    'uid-base': 1_000_000,
    'drain-ms': 0,
  })
  t.match(parseArguments(argv({ ...good, 'idle-exit-ms': '5', 'uid-base': '7' })), { 'idle-exit-ms': 5, 'uid-base': 7 })
  t.match(parseArguments(argv({ ...good, 'max-reuses': '7', 'drain-ms': '5000' })), { 'max-reuses': 7, 'drain-ms': 5000 })
  const mounts = [{ source: '/a b', target: '/c', readOnly: true, description: 'of "x"' }]
  t.match(
    parseArguments(
      argv({
        ...good,
        limits: '{"memoryBytes":16777216}',
        mounts: JSON.stringify(mounts),
        'network-allow': '["10.0.0.0/8:443"]',
        system: 'image',
      }),
    ),
    { limits: { memoryBytes: 16_777_216 }, mounts, 'network-allow': ['10.0.0.0/8:443'], system: 'image' },
  )
  t.same(listenAddress('unix:/a:b.sock'), { path: '/a:b.sock' })
  t.same(listenAddress('tcp:127.0.0.1:80'), { host: '127.0.0.1', port: 80 })
})

t.test('what it does not take', async (t) => {
  for (const [name, value] of [
    ['listen', 'udp:1:1'],
    ['listen', 'unix:relative'],
    ['listen', 'tcp:host'],
    ['token-file', 'relative'],
    ['slots', '0'],
    ['slots', '1001'],
    ['slots', '1.5'],
    ['isolation', 'weak'],
    ['network', ''],
    ['idle-exit-ms', '0'],
    ['max-reuses', '0'],
    ['drain-ms', '1.5'],
    ['drain-ms', '86400001'],
    ['limits', ''],
    ['limits', '[]'],
    ['limits', '{"memoryBytes":1}'],
    ['limits', '{"memory":16777216}'],
    ['mounts', '{}'],
    ['mounts', '[{"source":"a","target":"/b","readOnly":true,"description":null}]'],
    ['mounts', '[{"source":"/a","target":"/b","readOnly":true}]'],
    ['network-allow', '["127.0.0.1"]'],
    ['network-allow', '10.0.0.1'],
    ['system', 'vm'],
  ] as const) {
    t.throws(() => parseArguments(argv({ ...good, [name]: value })), { code: 'USAGE', message: new RegExp(`^--${name}: got`) })
  }
  const { pool, ...without } = good
  t.throws(() => parseArguments(argv(without)), { code: 'USAGE', message: /^--pool: got nothing/ })
  t.throws(() => parseArguments([...argv(good), '--token', 'x']), { code: 'USAGE' })
  t.ok(pool)
})
