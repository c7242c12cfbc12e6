import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Docker from 'dockerode'
import t from 'tap'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import { taskImageContract } from '../../backend/task-image-contract.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { bareImage, shellImage } from '../../fixtures/task-image.ts'

t.test('slots of any image', { skip: await dockerSkip(), timeout: 300_000 }, async (t) => {
  const toolsImage = await builtImage(t)
  const [shell, bare] = await Promise.all([shellImage(t, toolsImage), bareImage(t)])
  const docker = new Docker()
  const { Id: toolsId } = await docker.getImage(toolsImage).inspect()
  const filters = JSON.stringify({ label: [`slotpool.tools=${toolsId}`] })
  const left = async () => [
    ...((await docker.listVolumes({ filters })).Volumes ?? []).map(({ Name }) => Name),
    ...(await docker.listContainers({ all: true, filters })).map(({ Id }) => Id),
  ]

  await t.test('of one with a shell and nothing else', async (t) => {
    const host = await mkdtemp(join(tmpdir(), 'slotpool-host-'))
    t.teardown(() => rm(host, { recursive: true, force: true }))
    await writeFile(join(host, 'f'), 'of the host')
    const options = { image: shell, toolsImage, slots: 2, mounts: [{ host, target: '/data/in' }] } as const
    const { pool: name, backend, containerIds } = await dockerPool(t, options)
    // Two at once, of which one fills the volume with the tools.
    const other = await dockerPool(t, { image: bare, toolsImage })
    const [pool] = await Promise.all([SlotPool.open({ ...options, backend, pool: name, max: 1 }), other.backend.grow(1)])
    t.teardown(() => pool.close())

    await taskImageContract(t, pool)

    await t.test('mounts', async (t) => {
      const slot = await pool.lease('mounts')
      t.match(await slot.exec('read -r line < /data/in/f; echo "$line"; echo x > /data/in/g'), { stdout: 'of the host\n', exitCode: 1 })
      t.match(await slot.exec('read -r line < /where/in/f; echo "$line"'), { stdout: 'of the host\n' }, 'where the image has a link to')
      await slot.release()
    })

    await t.test('a pool with other tools is another pool', async (t) => {
      await t.rejects(SlotPool.open({ backend, pool: name, toolsImage: 'other:1' }), {
        code: 'POOL_CONFIG_MISMATCH',
        details: { option: 'toolsImage', running: toolsImage, got: 'other:1' },
      })
      await (await SlotPool.open({ backend, pool: name })).close()
    })

    await t.test('it serves again after a restart', async (t) => {
      const [id = ''] = await containerIds()
      await docker.getContainer(id).restart({ t: 0 })
      await t.resolves(pool.withSlot('again', (slot) => slot.exec('exit 0')))
    })

    t.equal((await left()).length, 1, 'one volume for both')
    await pool.down()
    t.same(await containerIds(), [])
    t.equal((await left()).length, 1, 'which the other still has')
    // What a manager leaves that died while it filled a volume.
    const [volume = ''] = await left()
    const Mounts = [{ Type: 'volume' as const, Source: volume, Target: '/tools' }]
    const filler = await docker.createContainer({
      Image: toolsId,
      Labels: { 'slotpool.tools': toolsId },
      Cmd: ['x'],
      HostConfig: { Mounts },
    })
    await filler.start()
    await filler.wait()
    await other.backend.destroy()
    t.same(await left(), [])
  })

  await t.test('of a Debian that has lost what a server needs', async (t) => {
    const options = { image: bare, toolsImage, slots: 2 } as const
    const { pool: name, backend } = await dockerPool(t, options)
    await using pool = await SlotPool.open({ ...options, backend, pool: name, max: 1 })
    const slot = await pool.lease('a')
    t.equal(slot.view.shell, '/usr/bin/bash', 'its own')
    t.equal(slot.view.binFolders[0], '/opt/task/bin')
    t.match(await slot.exec('own; echo $BASH $SHELL; id -u; ! type node perl python3 slotpool'), {
      stdout: 'it works\n/usr/bin/bash /usr/bin/bash\n0\n',
      exitCode: 0,
    })
  })

  await t.test('what cannot be had is refused', async (t) => {
    const open = async (options: { image: string; toolsImage?: string; isolation?: 'uid' }) => {
      const { pool, backend, containerIds } = await dockerPool(t, options)
      const error = await SlotPool.open({ ...options, backend, pool }).then(
        () => undefined,
        (error) => error,
      )
      t.same(await containerIds(), [])
      return error
    }
    t.match(await open({ image: shell, toolsImage, isolation: 'uid' }), {
      code: 'CONFIG_INVALID',
      details: { variable: 'TERMINAL_ISOLATION' },
    })
    t.match(await open({ image: shell, toolsImage: 'slotpool/no-such:1' }), {
      code: 'IMAGE_NOT_FOUND',
      details: { image: 'slotpool/no-such:1' },
    })
    t.match(await open({ image: shell, toolsImage: bare }), {
      code: 'CONTAINER_FAILED',
      message: /tools of image .*TERMINAL_TOOLS_IMAGE/,
      retryable: false,
    })
    t.match(await open({ image: shell }), { code: 'CONTAINER_FAILED', message: /no sandbox server: .* TERMINAL_TOOLS_IMAGE/ })
  })
})
