import t from 'tap'
import { readLabels } from '../../../lib/backend/docker/container-labels.ts'
import { type ContainerPlan, containerSpec } from '../../../lib/backend/docker/container-spec.ts'
import { type Config, loadConfig } from '../../../lib/config.ts'

const planOf = (config: Config): ContainerPlan => ({ config, image: config.image, version: { id: '1a2b3c4d', generation: 2 }, mounts: [] })

t.test('a container is named and labelled for its pool, and goes with its volume', async (t) => {
  const spec = containerSpec(planOf(loadConfig({ pool: 'p', slots: 4, image: 'img:1' }, {})), 3)
  t.match(spec, {
    name: 'slotpool-p-3',
    Image: 'img:1',
    Labels: {
      'slotpool.pool': 'p',
      'slotpool.index': '3',
      'slotpool.image': 'img:1',
      'slotpool.slots': '4',
      'slotpool.isolation': 'auto',
      'slotpool.network': 'outbound',
    },
    HostConfig: {
      AutoRemove: true,
      PortBindings: { '7780/tcp': [{ HostIp: '127.0.0.1' }] },
      Mounts: [{ Type: 'volume', Source: '', Target: '/var/lib/slotpool', VolumeOptions: { Labels: { 'slotpool.pool': 'p' } } }],
    },
  })
  t.notOk(spec.HostConfig?.Privileged)
  t.equal(spec.Env, undefined)
})

t.test('what slots see of the host goes through the container', async (t) => {
  const config = loadConfig(
    {
      mounts: [
        { host: '/link', target: '/in' },
        { host: '/b', target: '/out', readOnly: false },
      ],
    },
    {},
  )
  const mounts = config.mounts.map((mount) => ({ ...mount, source: `/real${mount.host}` }))
  const spec = containerSpec({ ...planOf(config), mounts }, 0)
  t.match(spec.HostConfig?.Mounts?.slice(1), [
    { Type: 'bind', Source: '/real/link', Target: '/run/slotpool/mounts/0', ReadOnly: true },
    { Type: 'bind', Source: '/real/b', Target: '/run/slotpool/mounts/1', ReadOnly: false },
  ])
  const { Cmd = [] } = spec
  t.same(JSON.parse(Cmd[Cmd.indexOf('--mounts') + 1] as string), [
    { source: '/run/slotpool/mounts/0', target: '/in', readOnly: true, description: null },
    { source: '/run/slotpool/mounts/1', target: '/out', readOnly: false, description: null },
  ])
  t.match(readLabels(spec.Labels ?? {}), { shape: { mounts: config.mounts, limits: {}, networkAllow: [] } })
  const { 'slotpool.terms': terms, ...older } = spec.Labels ?? {}
  t.ok(terms)
  t.match(readLabels(older), { shape: { mounts: [] } }, 'one without terms is found all the same')
})

t.test('a container that is told to end has as long as its commands may go on', async (t) => {
  const spec = containerSpec(planOf(loadConfig({ drainMs: 5_500, maxReuses: 7 }, {})), 0)
  t.equal(spec.StopTimeout, 16)
  const { Cmd = [] } = spec
  t.equal(Cmd[Cmd.indexOf('--drain-ms') + 1], '5500')
  t.equal(Cmd[Cmd.indexOf('--max-reuses') + 1], '7')
  t.match(readLabels(spec.Labels ?? {}), { shape: { drainMs: 5_500, maxReuses: 7 } })
  t.equal(containerSpec(planOf(loadConfig({ drainMs: 0 }, {})), 0).StopTimeout, undefined)
})

t.test('an image without a server has it from a volume, and nothing of its own runs beside it', async (t) => {
  const config = loadConfig({ image: 'any:1', toolsImage: 'tools:1', mounts: [{ host: '/a', target: '/in' }] }, {})
  const mounts = config.mounts.map((mount) => ({ ...mount, source: '/real/a' }))
  const spec = containerSpec({ ...planOf(config), mounts, tools: { name: 'slotpool-tools-1', imageId: 'sha256:1' } }, 0)
  t.match(spec, { Image: 'any:1', Healthcheck: { Test: ['NONE'] }, StopSignal: 'SIGTERM' })
  t.match(spec.HostConfig?.Mounts?.slice(1), [
    { Type: 'volume', Source: 'slotpool-tools-1', ReadOnly: true, VolumeOptions: { Labels: { 'slotpool.tools': 'sha256:1' } } },
    { Source: '/real/a', Target: '/run/slotpool/mounts/0' },
  ])
  t.match(spec.Entrypoint?.[0], /^\/run\/slotpool-tools\/tools\/.*busybox$/)
  const { Cmd = [] } = spec
  t.match(Cmd[Cmd.indexOf('--token-file') + 1], /^\/var\/lib\/slotpool\//, 'where no slot looks')
  t.same(spec.Entrypoint?.slice(-3), ['/var/lib/slotpool', '/run/slotpool/mounts/0', '--'], 'what the server has as its container does')
  t.match(readLabels(spec.Labels ?? {}), { shape: { image: 'any:1', toolsImage: 'tools:1' } })
})

t.test('only jails get more than Docker gives by itself', async (t) => {
  const hostConfig = (isolation: 'auto' | 'jail' | 'uid' | 'none') => containerSpec(planOf(loadConfig({ isolation }, {})), 0).HostConfig
  for (const isolation of ['auto', 'jail'] as const) {
    t.same(hostConfig(isolation)?.CapAdd, ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE'])
    t.same(hostConfig(isolation)?.SecurityOpt, ['seccomp=unconfined', 'apparmor=unconfined'])
  }
  for (const isolation of ['uid', 'none'] as const) {
    t.equal(hostConfig(isolation)?.CapAdd, undefined)
    t.equal(hostConfig(isolation)?.SecurityOpt, undefined)
  }
})

t.test('the limit of processes grows with the slots, up to what Linux has', async (t) => {
  const limit = (slots: number) => containerSpec(planOf(loadConfig({ slots }, {})), 0).HostConfig?.PidsLimit
  t.equal(limit(1), 2048)
  t.equal(limit(1000), 32_768)
})
