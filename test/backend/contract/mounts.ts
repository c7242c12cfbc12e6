import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { SlotPool } from '../../../lib/pool/slot-pool.ts'
import type { ContractSubject } from './subject.ts'

/** What slots see of the host. */
export async function mountContract(t: Test, subject: ContractSubject): Promise<void> {
  const host = await mkdtemp(join(tmpdir(), 'slotpool-host-'))
  t.teardown(() => rm(host, { recursive: true, force: true }))
  await mkdir(join(host, 'in', 'deep'), { recursive: true })
  await mkdir(join(host, 'out'), { mode: 0o777 })
  await writeFile(join(host, 'in', 'deep', 'f'), 'of the host')
  await writeFile(join(host, 'one file'), 'alone')
  const plan = await subject.makeOptions(t, { slots: 2, min: 1, max: 1 })
  const mounts = [
    { host: join(host, 'out'), target: '/mnt/results/out', readOnly: false },
    { host: join(host, 'in'), target: '/data', description: 'what there is: all of it' },
    { host: join(host, 'one file'), target: '/data/one' },
  ]
  const options = { ...plan.options, mounts: mounts.slice(0, 2) }

  await t.test('what is not there is refused, and nothing made', async (t) => {
    const missing = [{ host: join(host, 'nothing'), target: '/in' }]
    const code = subject.name === 'nomad' ? 'NOMAD_TASK_FAILED' : 'MOUNT_INVALID'
    await t.rejects(SlotPool.open({ ...plan.options, mounts: missing }), { code, message: /no such file|does not exist/ })
    t.same(await plan.left(), [])
  })

  const pool = await SlotPool.open(options)
  t.teardown(() => pool.close())
  const slot = await pool.lease('mounts')

  await t.test('slots see them where they were asked for, and may do what they may', async (t) => {
    t.same(slot.view.mounts, [
      { target: '/data', readOnly: true, description: 'what there is: all of it' },
      { target: '/mnt/results/out', readOnly: false, description: null },
    ])
    t.match(slot.describe(), /Mounted at \/data, read-only: what there is: all of it/)
    t.match(await slot.exec('cat /data/deep/f'), { stdout: 'of the host', exitCode: 0 })
    t.match(await slot.exec('echo x > /data/new'), { exitCode: 1, stderr: /Read-only file system/ })
    t.match(await slot.exec('rm /data/deep/f; cp /data/deep/f /mnt/results/out/copy; ls /data/..'), { stdout: /^mnt$/m })
    t.equal(await readFile(join(host, 'out', 'copy'), 'utf8'), 'of the host')
    t.equal(await readFile(join(host, 'in', 'deep', 'f'), 'utf8'), 'of the host')
    const other = await pool.lease('other')
    t.match(await other.exec('cat /mnt/results/out/copy'), { stdout: 'of the host' })
    await other.release()
  })

  await t.test('a wipe spares them', async (t) => {
    await slot.release()
    await pool.withSlot('again', async (again) => {
      t.match(await again.exec('ls /data /mnt/results/out'), { stdout: '/data:\ndeep\n\n/mnt/results/out:\ncopy\n' })
    })
  })

  await t.test('a pool that runs with others is not taken', async (t) => {
    await t.rejects(SlotPool.open({ ...plan.options, mounts }), { code: 'POOL_CONFIG_MISMATCH', details: { option: 'mounts' } })
    const taken = await SlotPool.open(plan.options)
    await taken.close()
  })

  await pool.down()
  t.same(await plan.left(), [])
  t.equal(await readFile(join(host, 'in', 'deep', 'f'), 'utf8'), 'of the host')
}
