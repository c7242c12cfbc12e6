import t from 'tap'
import { tokenArchive } from '../../../lib/backend/docker/token-archive.ts'
import { archiveHeaders } from '../../fixtures/archive-headers.ts'

t.test('the token and the rest is for root alone', async (t) => {
  const headers = await archiveHeaders([await tokenArchive('secret', 'run/slotpool', { reference: 'a:1', digest: null })])
  t.match(headers, [
    { name: 'run/slotpool/', type: 'directory', mode: 0o700, uid: 0, gid: 0 },
    { name: 'run/slotpool/token', mode: 0o600, uid: 0, gid: 0, size: 6 },
    { name: 'run/slotpool/image.json', mode: 0o600, uid: 0, gid: 0 },
  ])
})
