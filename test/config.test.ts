import { userInfo } from 'node:os'
import t from 'tap'
import { type Config, defaultImage, loadConfig, type SlotPoolOptions } from '../lib/config.ts'

t.test('defaults', async (t) => {
  const { given, ...config } = loadConfig({}, {})
  t.same(config, {
    env: 'local',
    pool: 'default',
    image: 'slotpool/sandbox:0.1',
    slots: 10,
    min: 1,
    max: 10,
    isolation: 'auto',
    network: 'outbound',
    timeoutMs: 60_000,
    lifetimeMs: 300_000,
    scaleDownMs: 300_000,
    maxWaiting: 10_000,
    drainMs: 20_000,
    limits: {},
    networkAllow: [],
    mounts: [],
    owner: userInfo().username,
    nomad: { address: 'http://localhost:4646', driver: 'docker', autostart: false, fallback: 'docker' },
  })
  t.equal(given.size, 0)
})

/** Variable, option, a good text and its value, and bad texts. */
const variables: readonly [string, string, string, unknown, string[]][] = [
  ['TERMINAL_ENV', 'env', 'sandbox', 'sandbox', ['', 'Local', 'podman']],
  ['TERMINAL_POOL', 'pool', 'a-1', 'a-1', ['', 'A', '-a', 'a-', 'a_b', 'a'.repeat(41)]],
  ['TERMINAL_NOMAD_IMAGE', 'image', 'me/image:1', 'me/image:1', ['']],
  ['TERMINAL_TOOLS_IMAGE', 'toolsImage', 'me/tools:1', 'me/tools:1', ['']],
  ['TERMINAL_NOMAD_SLOTS', 'slots', '25', 25, ['', '0', '1001', '1.5', '-1', ' 1', '1e1', '0x1', 'many']],
  ['TERMINAL_NOMAD_MIN', 'min', '0', 0, ['', '-1', '10001', '1.5']],
  ['TERMINAL_NOMAD_MAX', 'max', '30', 30, ['', '0', '10001', 'all']],
  ['TERMINAL_ISOLATION', 'isolation', 'none', 'none', ['', 'chroot']],
  ['TERMINAL_NETWORK', 'network', 'host', 'host', ['', 'bridge']],
  ['TERMINAL_TIMEOUT', 'timeoutMs', '0.5', 500, ['', '0', '-1', '60s', '1e3', '2147484', '.5', 'Infinity']],
  ['TERMINAL_LIFETIME_SECONDS', 'lifetimeMs', '2147483', 2_147_483_000, ['', '0', '5m', '2147483.001']],
  ['TERMINAL_SCALE_DOWN_SECONDS', 'scaleDownMs', '90', 90_000, ['', '0', '5m', '2147483.001']],
  ['TERMINAL_MAX_WAITING', 'maxWaiting', '0', 0, ['', '-1', '1.5', '1000001']],
  ['TERMINAL_CWD', 'cwd', '/work', '/work', ['', 'work', './work']],
  ['TERMINAL_MAX_REUSES', 'maxReuses', '7', 7, ['', '0', '-1', '1.5', '1000000001', 'never']],
  ['TERMINAL_DRAIN_SECONDS', 'drainMs', '0.5', 500, ['', '-1', '86401', '5s']],
  ['TERMINAL_LIMIT_MEMORY_MB', 'limits.memoryBytes', '16', 16 * 2 ** 20, ['', '0', '15', '16.5', '-16', '16M', '1073741825']],
  ['TERMINAL_LIMIT_PROCESSES', 'limits.processes', '16', 16, ['', '0', '15', '16.5', '4194305']],
  ['TERMINAL_LIMIT_CPU_WEIGHT', 'limits.cpuWeight', '1', 1, ['', '0', '10001', '0.5']],
  ['TERMINAL_LIMIT_OPEN_FILES', 'limits.openFiles', '64', 64, ['', '63', '1048577', 'unlimited']],
  ['TERMINAL_LIMIT_DISK_MB', 'limits.diskBytes', '4', 4 * 2 ** 20, ['', '3', '4G']],
  ['TERMINAL_LIMIT_OUTPUT_MB', 'limits.outputBytes', '1', 2 ** 20, ['', '0', '1k']],
  [
    'TERMINAL_NETWORK_ALLOW',
    'networkAllow',
    '10.1.2.3, 10.0.0.0/8,192.168.0.1:5432,10.0.0.0/8:443',
    ['10.1.2.3', '10.0.0.0/8', '192.168.0.1:5432', '10.0.0.0/8:443'],
    ['', '10.1.2', '10.1.2.3/33', '10.1.2.3:0', '10.1.2.3:65536', '10.1.2.3,', '127.0.0.1', '0.0.0.0/0', '127.0.0.0/8', 'db.local', '::1'],
  ],
  ['TERMINAL_NOMAD_DATACENTERS', 'nomad.datacenters', 'eu-*, us-1', ['eu-*', 'us-1'], ['', 'eu,', 'e u', 'eu;us']],
  ['TERMINAL_NOMAD_NODE_POOL', 'nomad.nodePool', 'agents_1', 'agents_1', ['', 'a b', 'a'.repeat(129)]],
  [
    'TERMINAL_NOMAD_CONSTRAINTS',
    'nomad.constraints',
    '${attr.kernel.name} = linux; ${meta.gpu} is_set\ndistinct_hosts;${meta.rack} distinct_property',
    ['${attr.kernel.name} = linux', '${meta.gpu} is_set', 'distinct_hosts', '${meta.rack} distinct_property'],
    [
      '',
      'linux',
      '${a} = b;',
      'attr.kernel.name = linux',
      '${a} =',
      '${a} is_set b',
      '${a} ~ b',
      '${a',
      '${m} distinct_property 0',
      'distinct_hosts x',
    ],
  ],
  ['TERMINAL_NOMAD_PRIORITY', 'nomad.priority', '100', 100, ['', '0', '101', '1.5', 'high']],
  ['TERMINAL_NOMAD_CPU_MHZ', 'nomad.cpuMhz', '2000', 2000, ['', '0', '1.5', '2GHz']],
  ['TERMINAL_NOMAD_CORES', 'nomad.cores', '2', 2, ['', '0', '1.5', '-1']],
  ['TERMINAL_NOMAD_MEMORY_MB', 'nomad.memoryMb', '64', 64, ['', '63', '1.5', '1G']],
  ['TERMINAL_NOMAD_MEMORY_MAX_MB', 'nomad.memoryMaxMb', '512', 512, ['', '63', '1.5', '511']],
  ['TERMINAL_MOUNT_ALLOW', 'mountAllow', '/data:/srv/x', ['/data', '/srv/x'], ['', 'data', '/data:', '/data,srv:x']],
  ['TERMINAL_NOMAD_ADDRESS', 'nomad.address', 'https://nomad:4646/', 'https://nomad:4646', ['', 'nomad:4646', 'ftp://nomad']],
  ['TERMINAL_NOMAD_DRIVER', 'nomad.driver', 'singularity', 'singularity', ['', 'exec']],
  ['TERMINAL_NOMAD_AUTOSTART', 'nomad.autostart', '1', true, ['', 'true', 'yes', '2']],
  ['TERMINAL_NOMAD_FALLBACK', 'nomad.fallback', 'local', 'local', ['', 'nomad']],
]

function valueAt(config: object, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], config)
}

function optionsWith(path: string, value: unknown): SlotPoolOptions {
  return path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as SlotPoolOptions
}

for (const [variable, option, text, value, bad] of variables) {
  t.test(variable, async (t) => {
    const config = loadConfig({}, { [variable]: text })
    t.same(valueAt(config, option), value)
    t.same([...config.given], [option])
    for (const one of bad) {
      t.throws(
        () => loadConfig({}, { [variable]: one }),
        { code: 'CONFIG_INVALID', message: new RegExp(`^${variable}: got .+, expected .+`) },
        one,
      )
    }
    t.throws(() => loadConfig({}, { [`${variable}S`]: text }), {
      code: 'CONFIG_UNKNOWN_VARIABLE',
      details: { variable: `${variable}S`, nearest: variable },
    })
    t.same(loadConfig(optionsWith(option, value), {}), config, 'the option means the same')
  })
}

t.test('the image of driver singularity is a file in the state folder', async (t) => {
  const at = (options: SlotPoolOptions) => loadConfig({ ...options, nomad: { driver: 'singularity' } }, { XDG_STATE_HOME: '/state' }).image
  for (const env of ['nomad', 'sandbox'] as const) t.equal(at({ env }), '/state/slotpool/sif/sandbox-0.1.sif')
  for (const env of ['local', 'docker'] as const) t.equal(at({ env }), defaultImage)
  t.equal(at({ env: 'nomad', image: '/a.sif' }), '/a.sif')
})

t.test('how the certificate of Nomad is checked', async (t) => {
  const nomad = (env: NodeJS.ProcessEnv) => loadConfig({}, env).nomad
  t.match(nomad({ NOMAD_TLS_SERVER_NAME: 'server.global.nomad', NOMAD_CAPATH: '/ca', NOMAD_SKIP_VERIFY: 'true' }), {
    tlsServerName: 'server.global.nomad',
    caPath: '/ca',
    skipVerify: true,
  })
  t.equal(nomad({ NOMAD_SKIP_VERIFY: '0' }).skipVerify, undefined)
  t.throws(() => nomad({ NOMAD_SKIP_VERIFY: 'yes' }), { code: 'CONFIG_INVALID', details: { variable: 'NOMAD_SKIP_VERIFY' } })
})

t.test('an address with a password is refused', async (t) => {
  t.throws(() => loadConfig({}, { NOMAD_ADDR: 'http://me:s3cret@127.0.0.1:4646' }), {
    code: 'CONFIG_INVALID',
    message: 'NOMAD_ADDR: got "http://(hidden)@127.0.0.1:4646", expected an address without a user and a password',
  })
})

t.test('TERMINAL_MOUNTS and the option mounts', async (t) => {
  const mounts = [
    { host: '/a', target: '/in/a', readOnly: true, description: null },
    { host: '/b', target: '/in/b', readOnly: false, description: 'Where results go: all of them' },
  ]
  const config = loadConfig({}, { TERMINAL_MOUNTS: '/b/:/in/b:rw:Where results go: all of them;\n/a:/in//a' })
  t.same(config.mounts, mounts, 'folders stand before what is in them')
  t.same([...config.given], ['mounts'])
  t.same(
    loadConfig(
      {
        mounts: [
          { host: '/b', target: '/in/b', readOnly: false, description: 'Where results go: all of them' },
          { host: '/a', target: '/in/x/../a' },
        ],
      },
      {},
    ),
    config,
  )
  for (const bad of [
    '',
    ';',
    '/a',
    'a:/a',
    '/a:b',
    ':/a',
    '/a:',
    '/a:/',
    '/a:/.',
    '/a:/proc',
    '/a:/x/../sys/y',
    '/a:/dev/shm',
    '/a:/b;/c:/b/',
    '/a:/b:RW',
    '/a:/b:wr',
    '/a:/b:rw,z',
    '/a:/b:z:Data',
  ]) {
    t.throws(() => loadConfig({}, { TERMINAL_MOUNTS: bad }), { code: 'MOUNT_INVALID', message: /expected/ }, JSON.stringify(bad))
  }
  for (const bad of ['/a:/b', [{ host: '/a' }], [{ host: '/a', target: '/b', mode: 'ro' }], [{ host: '/a', target: '/b', readOnly: 1 }]]) {
    t.throws(() => loadConfig({ mounts: bad } as unknown as SlotPoolOptions, {}), { code: 'CONFIG_INVALID' }, JSON.stringify(bad))
  }
  t.throws(() => loadConfig({ mounts: [{ host: '/a\0', target: '/b' }] }, {}), {
    code: 'MOUNT_INVALID',
    details: { host: '/a\0', target: '/b' },
  })
})

t.test('an option wins over its variable, which must be good all the same', async (t) => {
  t.equal(loadConfig({ slots: 3 }, { TERMINAL_NOMAD_SLOTS: '5' }).slots, 3)
  t.throws(() => loadConfig({ slots: 3 }, { TERMINAL_NOMAD_SLOTS: 'x' }), { code: 'CONFIG_INVALID' })
  t.equal(loadConfig({ cwd: undefined } as unknown as SlotPoolOptions, { TERMINAL_CWD: '/a' }).cwd, '/a', 'undefined is not given')
})

t.test('bad options are refused, never coerced', async (t) => {
  const bad: unknown[] = [
    { slots: '3' },
    { slots: 3n },
    { slots: Number.NaN },
    { slots: null },
    { timeoutMs: 0.5 },
    { timeoutMs: Number.POSITIVE_INFINITY },
    { owner: '' },
    { nomad: { autostart: 1 } },
    { nomad: null },
    { nomad: { adress: 'http://a' } },
    { limits: { memory: 5 } },
    { limits: { outputBytes: 1023 } },
    { limits: 5 },
    { networkAllow: '10.1.2.3' },
    { mountAllow: '/a' },
    { slot: 3 },
    { min: 3, max: 2 },
  ]
  for (const options of bad) t.throws(() => loadConfig(options as SlotPoolOptions, {}), { code: 'CONFIG_INVALID' })
  t.throws(() => loadConfig({ slots: Number.NaN }, {}), { message: /^option slots: got NaN, expected a whole number from 1 to 1000$/ })
  t.throws(() => loadConfig({ slot: 3 } as SlotPoolOptions, {}), { code: 'CONFIG_INVALID', details: { option: 'slot', nearest: 'slots' } })
})

t.test('one bound without the other', async (t) => {
  const bounds = (options: SlotPoolOptions) => {
    const { min, max } = loadConfig(options, {})
    return { min, max }
  }
  t.same(bounds({ min: 20 }), { min: 20, max: 20 })
  t.same(bounds({ max: 1 }), { min: 1, max: 1 })
  t.throws(() => loadConfig({}, { TERMINAL_NOMAD_MIN: '3', TERMINAL_NOMAD_MAX: '2' }), {
    code: 'CONFIG_INVALID',
    message: /^TERMINAL_NOMAD_MIN: got 3, expected at most TERMINAL_NOMAD_MAX, which is 2/,
  })
})

t.test('variables of Nomad’s own', async (t) => {
  const { nomad } = loadConfig(
    {},
    {
      NOMAD_ADDR: 'http://a:1',
      NOMAD_TOKEN: 't',
      NOMAD_NAMESPACE: 'n',
      NOMAD_REGION: 'r',
      NOMAD_CACERT: 'ca',
      NOMAD_CLIENT_CERT: 'cc',
      NOMAD_CLIENT_KEY: 'ck',
    },
  )
  t.same(nomad, {
    address: 'http://a:1',
    token: 't',
    namespace: 'n',
    region: 'r',
    caCert: 'ca',
    clientCert: 'cc',
    clientKey: 'ck',
    driver: 'docker',
    autostart: false,
    fallback: 'none',
  })
  const address = (env: NodeJS.ProcessEnv): Config['nomad']['address'] => loadConfig({}, env).nomad.address
  t.equal(address({ NOMAD_ADDR: 'http://a:1', TERMINAL_NOMAD_ADDRESS: 'http://b:1' }), 'http://b:1')
  t.equal(address({ NOMAD_ADDR: '' }), 'http://localhost:4646', 'an empty one counts as unset')
  t.equal(loadConfig({}, { NOMAD_ANYTHING: 'x' }).env, 'local', 'others are none of our business')
})

t.test('a token is never shown', async (t) => {
  const refused = (() => {
    try {
      loadConfig({ nomad: { token: 12345 as unknown as string } }, {})
    } catch (error) {
      return error
    }
  })()
  t.match(refused, { code: 'CONFIG_INVALID' })
  t.notMatch(JSON.stringify(refused), /12345/)
})

t.test('what a terminal emulator sets is not meant for us', async (t) => {
  t.equal(loadConfig({}, { TERMINAL_EMULATOR: 'JetBrains-JediTerm' }).env, 'local')
})

t.test('nothing changes it afterwards', async (t) => {
  const config = loadConfig({}, {})
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.nomad))
})

t.test('what Nomad is to keep free is said once', async (t) => {
  t.throws(() => loadConfig({ nomad: { cores: 1, cpuMhz: 500 } }, {}), {
    code: 'CONFIG_INVALID',
    message: 'TERMINAL_NOMAD_CORES: got 1, expected none beside TERMINAL_NOMAD_CPU_MHZ',
  })
  t.throws(() => loadConfig({ nomad: { memoryMb: 2000, memoryMaxMb: 1999 } }, {}), {
    code: 'CONFIG_INVALID',
    message: 'TERMINAL_NOMAD_MEMORY_MAX_MB: got 1999, expected at least TERMINAL_NOMAD_MEMORY_MB, which is 2000',
  })
})
