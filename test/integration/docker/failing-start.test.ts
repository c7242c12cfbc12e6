import t from 'tap'
import { builtImage } from '../../fixtures/built-image.ts'
import { dockerPool } from '../../fixtures/docker-pool.ts'
import { dockerSkip } from '../../fixtures/require-service.ts'

const skip = await dockerSkip()

t.test('a sandbox server that cannot start', { skip, timeout: 300_000 }, async (t) => {
  t.test('its own error is thrown, and nothing is left', async (t) => {
    const body = { code: 'ISOLATION_UNAVAILABLE', message: 'got no namespaces, expected some', retryable: false }
    const program = `console.error('{}'); console.error('slotpool-error: ' + ${JSON.stringify(JSON.stringify(body))}); process.exit(1)`
    const { backend, containerIds } = await dockerPool(t, { image: await builtImage(t, program) })
    await t.rejects(backend.grow(2), body)
    t.same(await containerIds(), [])
  })

  t.test('without one, the error has the end of what it printed', async (t) => {
    const { backend, containerIds } = await dockerPool(t, { image: await builtImage(t, `console.log('so long'); process.exit(3)`) })
    await t.rejects(backend.grow(1), {
      code: 'CONTAINER_FAILED',
      message: /^container slotpool-t-\S+-0 ended with exit code 3 before its sandbox server answered\. Its last lines:\nso long$/,
    })
    t.same(await containerIds(), [])
  })

  t.test('one that never answers is given up when the caller does', async (t) => {
    // Not while its image is built, which would be waited for.
    const silent = `if (!process.argv.includes('--write-code-cache')) exports.serve = () => new Promise(() => setInterval(() => {}, 1000))`
    const { backend, docker, pool, containerIds } = await dockerPool(t, { image: await builtImage(t, silent) })
    const controller = new AbortController()
    const growing = backend.grow(1, controller.signal)
    growing.catch(() => {})
    const events = await docker.getEvents({ since: 0, filters: { label: [`slotpool.pool=${pool}`], event: ['start'] } })
    events.once('data', () => setImmediate(() => controller.abort()))
    await t.rejects(growing, { code: 'CANCELLED' })
    ;(events as NodeJS.ReadableStream & { destroy(): void }).destroy()
    t.same(await containerIds(), [])
  })
})
