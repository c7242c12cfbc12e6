import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(60_000)

const skip = process.geteuid?.() === 0 ? false : 'only root makes slots with mounts that the machine could share'

// Docker keeps the roots of containers below a mount of this kind: a slot that takes its own copy away must not take theirs.
t.test('mounts that the machine shares with other namespaces outlive the slots', { skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-shared-'))
  t.teardown(() => rm(folder, { recursive: true }))
  execFileSync('mount', ['--bind', folder, folder])
  t.teardown(() => execFileSync('umount', ['--recursive', folder]))
  execFileSync('mount', ['--make-shared', folder])
  await mkdir(join(folder, 'inner'))
  execFileSync('mount', ['-t', 'tmpfs', 'inner', join(folder, 'inner')])
  await writeFile(join(folder, 'inner', 'file'), '')

  const { client, lease, server } = await sandboxServer(t, { isolation: 'jail', network: 'outbound', slots: 2 })
  const { leaseId } = await lease('a')
  t.match(await ran(client, leaseId, 'umount -a; echo ran'), { stdout: 'ran\n' })
  t.ok(existsSync(join(folder, 'inner', 'file')), 'while there are slots')
  await client.release(leaseId)
  await server.close()
  t.ok(existsSync(join(folder, 'inner', 'file')), 'when they are gone')
})
