import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { here } from '../../../lib/backend/process-place.ts'
import { LayoutStaging } from '../../../lib/backend/registry/layout-staging.ts'
import { OciLayout } from '../../../lib/backend/registry/oci-layout.ts'
import { stagingNameOf } from '../../../lib/backend/registry/staging-name.ts'

/** Larger than any id of a process. */
const dead = { ...here(), pid: 4_194_305, startTicks: 1 }

t.test('only what is abandoned for certain is removed: the disk may be shared', async (t) => {
  const layout = new OciLayout(join(t.testdir(), 'images'))
  const folders = {
    ours: stagingNameOf(dead),
    'before the last boot': stagingNameOf({ ...dead, bootId: 'another', pidNamespace: 'another' }),
    'of another machine': stagingNameOf({ ...dead, machine: 'another', bootId: 'another' }),
    'of another container': stagingNameOf({ ...dead, pidNamespace: 'another' }),
    "somebody else's": '4194305-1-dead',
  }
  const path = (name: string) => join(`${layout.folder}.incoming`, name)
  for (const name of Object.values(folders)) mkdirSync(path(name), { recursive: true })
  await using _ = await LayoutStaging.make(layout)
  const left = Object.entries(folders).flatMap(([what, name]) => (existsSync(path(name)) ? [what] : []))
  t.same(left, ['of another machine', 'of another container', "somebody else's"])
})

t.test('what cannot be removed is in nobody’s way', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'slotpool-'))
  const layout = new OciLayout(join(root, 'images'))
  const leftover = join(`${layout.folder}.incoming`, stagingNameOf(dead))
  mkdirSync(leftover, { recursive: true })
  writeFileSync(join(leftover, 'part'), '')
  await chmod(leftover, 0o555)
  // Root may remove anything.
  const isRoot = process.geteuid?.() === 0
  if (isRoot) for (const folder of [root, `${layout.folder}.incoming`]) await chmod(folder, 0o777)
  t.teardown(async () => {
    if (isRoot) process.seteuid?.(0)
    await chmod(leftover, 0o755)
    await rm(root, { recursive: true })
  })
  if (isRoot) process.seteuid?.(65_534)
  await using _ = await LayoutStaging.make(layout)
  t.ok(existsSync(leftover))
})
