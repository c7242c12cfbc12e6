import t from 'tap'
import { serverEndpoint } from '../../../lib/backend/docker/server-endpoint.ts'

t.test('a container is reached at its own address only where its bridge is this machine’s', async (t) => {
  const published = { url: 'http://127.0.0.1:32768' }
  t.same(serverEndpoint(32_768), published)
  t.same(serverEndpoint(32_768, { bridge: { IPAddress: '192.0.2.7', Gateway: '192.0.2.1' } }), published, 'an engine elsewhere')
  t.same(serverEndpoint(32_768, { bridge: { IPAddress: '', Gateway: '127.0.0.1' } }), published, 'one that does not run yet')
  t.same(serverEndpoint(32_768, { other: { IPAddress: '', Gateway: '' }, bridge: { IPAddress: '127.0.0.9', Gateway: '127.0.0.1' } }), {
    url: 'http://127.0.0.9:7780',
  })
})
