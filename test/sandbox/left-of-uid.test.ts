import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { testName } from '../fixtures/test-name.ts'

const skip = process.geteuid?.() === 0 ? false : 'only root gives slots uids of their own'

t.test('what a lease at isolation uid leaves where everybody may is gone with it', { skip }, async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'uid', slots: 1 })
  const name = testName()
  const first = await lease('a')
  const shared = ['/tmp', '/var/tmp', '/dev/shm'].filter((folder) => existsSync(folder))
  const leave = `umask 077
    for folder in ${shared.join(' ')}; do mkdir "$folder/${name}" && echo secret > "$folder/${name}/file"; done
    perl -e 'defined shmget(0, 4096, 01600) && defined msgget(0, 01600) && defined semget(0, 1, 01600) or die "$!"'
    id -u`
  const { stdout, exitCode } = await ran(client, first.leaseId, leave)
  t.equal(exitCode, 0)
  const uid = stdout.trim()
  t.equal(existsSync(`/tmp/${name}/file`), true)
  const owned = async (): Promise<number> => {
    const tables = await Promise.all(['shm', 'msg', 'sem'].map((kind) => readFile(`/proc/sysvipc/${kind}`, 'utf8')))
    return tables
      .join('')
      .split('\n')
      .filter((line) => line.split(/ +/).includes(uid)).length
  }
  t.equal(await owned(), 3)
  await client.release(first.leaseId)
  const second = await lease('b')
  t.equal((await ran(client, second.leaseId, 'id -u')).stdout.trim(), uid, 'the next has the same')
  for (const folder of shared) t.equal(existsSync(`${folder}/${name}`), false, folder)
  t.equal(await owned(), 0)
})
