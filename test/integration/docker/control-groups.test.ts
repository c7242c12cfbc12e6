import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import { packageRoot } from '../../../lib/package-root.ts'
import { baseImage } from '../../fixtures/base-image.ts'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'
import { testName } from '../../fixtures/test-name.ts'
import type { Seen } from '../../sandbox/limits/in-container.ts'

t.setTimeout(120_000)

const unconfined = ['--cap-add=SYS_ADMIN', '--security-opt=seccomp=unconfined', '--security-opt=apparmor=unconfined']

t.test('control groups in a container', { skip: await dockerSkip() }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-groups-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await build({
    entryPoints: [join(packageRoot(), 'test/sandbox/limits/in-container.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(folder, 'look.mjs'),
  })
  const image = (await baseImage()).baseImage ?? (await builtImage(t))
  const look = async (options: string[]): Promise<Seen> => {
    const args = ['run', '--rm', '--init', '--entrypoint=node', `--name=slotpool-${testName()}`, ...options]
    args.push('-v', `${folder}:/look:ro`, image, '/look/look.mjs')
    return JSON.parse((await promisify(execFile)('docker', args)).stdout) as Seen
  }

  t.test('with CAP_SYS_ADMIN they can be written, bound what they should, and end it', async (t) => {
    t.same(await look(unconfined), {
      reason: null,
      controllers: ['cpu', 'kill', 'memory', 'processes'],
      refused: 100 - 31,
      hits: { memory: 1, processes: 69 },
      left: 0,
    })
  })

  t.test('with Docker’s defaults there are none, and it is said why', async (t) => {
    const { reason, controllers } = await look([])
    t.match(reason, /permission denied|read-only|EROFS|EACCES/i)
    t.same(controllers, [])
  })
})
