import t from 'tap'
import { backendContract } from '../../backend/contract.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'

t.setTimeout(600_000)

t.test('a Docker engine', { skip: await dockerSkip(), timeout: 600_000 }, async (t) => {
  const image = await builtImage(t)
  await backendContract(t, {
    name: 'docker',
    mounts: true,
    makeOptions: async (t, size) => {
      const { pool, env, docker, containerIds, hasToken } = await dockerPool(t, { image, ...size })
      const before = process.env.XDG_STATE_HOME
      process.env.XDG_STATE_HOME = env.XDG_STATE_HOME
      t.teardown(() => {
        if (before === undefined) delete process.env.XDG_STATE_HOME
        else process.env.XDG_STATE_HOME = before
      })
      const volumes = new Set<string>()
      const left = async () => {
        const ids = await containerIds()
        for (const id of ids) for (const mount of (await docker.getContainer(id).inspect()).Mounts) volumes.add(mount.Name ?? '')
        const there = ((await docker.listVolumes()).Volumes ?? []).map((one) => one.Name)
        return [...ids, ...there.filter((name) => volumes.has(name)), ...(hasToken() ? ['token'] : [])]
      }
      return { options: { ...size, env: 'docker', pool, image }, env, kill: ({ id }) => docker.getContainer(id).kill(), left }
    },
  })
})
