import t from 'tap'
import { cli } from '../fixtures/cli.ts'

t.setTimeout(120_000)

t.test('a pool is changed while a task works in it, and says how far it is', async (t) => {
  const { run, start } = await cli(t)
  const status = async () => JSON.parse((await run(['status', '--json'])).stdout)
  const shown = (text: string) => text.replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{3}\b/g, 'ID').replaceAll(/version [0-9a-f]{8}/g, 'version V')

  t.equal((await run(['exec', '--task-id', 'a', ':'])).code, 0)
  const [before] = (await status()).containers
  t.match(before, { version: /^[0-9a-f]{8}$/, image: null, earlier: false })

  const refused = await run(['up', '--slots', '3'])
  t.match(refused, { code: 125, stderr: /^slotpool: POOL_CONFIG_MISMATCH: .*runs with slots 2, got 3; `slotpool up --roll` changes it/ })
  t.match(await run(['up', '--force']), { code: 2, stderr: /--force: expected --roll beside it/ })

  const waiting = start(['up', '--roll', '--slots', '3'])
  await waiting.errorLine(/gives no new lease, and goes when its tasks end: a$/)
  waiting.kill('SIGINT')
  t.match(await waiting.over, { code: 130, stdout: '' })
  const both = await status()
  t.same(both.containers.map((one: { earlier: boolean }) => one.earlier).sort(), [false, true], 'who is interrupted leaves both')

  t.match(
    shown((await run(['status'])).stdout),
    /\n {2}ID {2}\S+ {2}\S+ {2}version V, makes room\n(.*\n)* {2}ID {2}\S+ {2}ready {2}version V\n/,
  )
  const detached = await run(['up', '--roll', '--detach', '--slots', '3'])
  t.match(detached, { code: 0, stderr: /^pool .*: 2 containers, 1 of 5 slots leased/ })

  const again = start(['up', '--roll', '--slots', '3'])
  await again.errorLine(/gives no new lease/)
  t.equal((await run(['release', '--task-id', 'a'])).code, 0)
  const over = await again.over
  t.match(over, { code: 0, stdout: '' })
  t.match(
    shown(over.stderr),
    /^slotpool: container ID serves as version V\n(slotpool: container ID of version V .*\n)+slotpool: container ID is gone; 0 to go\npool .*: 1 container, 0 of 3 slots leased/m,
  )
  const { containers, version } = await status()
  t.match(containers, [{ earlier: false, version }])
  t.not(containers[0].id, before.id)
})
