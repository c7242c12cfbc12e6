import t from 'tap'
import { limitsText } from '../../lib/pool/limits-text.ts'
import { cli } from '../fixtures/cli.ts'
import { localLeft } from '../fixtures/local-pool.ts'

t.test('up, status, release and down', async (t) => {
  const { run, start, pool } = await cli(t)

  await t.test('a pool that is not there', async (t) => {
    t.match(await run(['status']), { code: 0, stdout: `pool ${pool} (local): not running\n`, stderr: '' })
    t.match(await run(['release', '--task-id', 'a']), { code: 125, stdout: '', stderr: /^slotpool: TASK_NOT_FOUND: task a has no slot/ })
    t.match(await run(['release', '--all']), { code: 0, stdout: '', stderr: 'slotpool: released 0 slots\n' })
    t.match(await run(['down']), { code: 0, stdout: '', stderr: '' })
    t.same(await localLeft(pool), [], 'asking has made nothing')
  })

  await t.test('up makes the containers and says so on stderr', async (t) => {
    t.match(await run(['up', '--min', '2']), {
      code: 0,
      stdout: '',
      stderr: new RegExp(`^pool ${pool} \\(local\\): 2 containers, 0 of 4 slots leased`),
    })
  })

  await t.test('status shows them and who uses them', async (t) => {
    t.equal((await run(['exec', '--task-id', 'a', 'echo hi > f'])).code, 0)
    const { stdout } = await run(['status', '--json'])
    t.match(stdout, /^\{.*\}\n$/)
    const status = JSON.parse(stdout)
    const inForceNames = ['isolation', 'root', 'network', 'network_reason', 'limits']
    const changeNames = ['version', 'changed_by_hand']
    t.same(Object.keys(status), ['pool', 'backend', 'image', 'tools_image', ...inForceNames, ...changeNames, 'containers', 'totals'])
    t.match(status, {
      pool,
      backend: 'local',
      isolation: /^(jail|uid)$/,
      root: /^(copy-on-write|read-only|shared)$/,
      network: /^(none|outbound|host)$/,
    })
    t.same(status.totals, { containers: 2, slots: 4, leased: 1, idle: 3 })
    type Container = { id: string; node: string; slots: { slot: number; state: string; expires_at: string }[] }
    const containers: Container[] = status.containers
    const container = containers.find((one) => one.slots.some(({ state }) => state === 'leased')) as Container & { reason?: string }
    const { reason, ...rest } = container
    t.equal(reason === undefined, status.isolation === 'jail', 'why it is not the strongest isolation')
    t.same(Object.keys(rest), ['id', 'node', 'state', 'version', 'image', 'earlier', 'provenance', 'slots'])
    t.match(container, { id: /^.+$/, node: /^.+$/, state: 'ready' })
    for (const slot of container.slots)
      t.same(Object.keys(slot), ['slot', 'state', 'reason', 'task_id', 'lease_id', 'owner', 'metadata', 'expires_at'])
    const [leased, idle] = container.slots.toSorted((one) => (one.state === 'leased' ? -1 : 1))
    t.match(leased, { state: 'leased', task_id: 'a', lease_id: /^.+$/, expires_at: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ })
    t.match(idle, { state: 'idle', task_id: null, lease_id: null, expires_at: null })

    const text = await run(['status'])
    t.match(text, { code: 0, stderr: '' })
    const inForce = `isolation ${status.isolation}, root ${status.root}, network ${status.network}`
    const [summary, ...lines] = text.stdout.split('\n')
    t.equal(summary, `pool ${pool} (local): 2 containers, 1 of 4 slots leased, ${inForce}`)
    if (status.network_reason !== null) t.equal(lines.shift(), `  network: ${status.network_reason}`)
    if (limitsText(status.limits) !== '') t.equal(lines.shift(), `  each slot: ${limitsText(status.limits)}`)
    const shown = containers.flatMap((one) => [
      new RegExp(`^  ${one.id.slice(0, 12)}  ${one.node}  ready`),
      ...(one === container ? [`    slot ${leased?.slot}  task a  expires ${leased?.expires_at}`] : []),
    ])
    t.match(lines, [...shown, ''])
  })

  await t.test('watching goes on until it is interrupted', async (t) => {
    const watching = start(['status', '--watch', '--json'])
    const lines = await watching.lines(2)
    watching.kill('SIGINT')
    t.match(await watching.over, { code: 130, stderr: '' })
    for (const line of lines) t.match(JSON.parse(line), { pool, totals: { leased: 1 } })
    t.ok(lines.length >= 2)
  })

  await t.test('what is released is gone', async (t) => {
    t.match(await run(['release', '--task-id', 'a']), { code: 0, stdout: '', stderr: '' })
    t.match(await run(['release', '--task-id', 'a']), { code: 125, stderr: /TASK_NOT_FOUND/ })
    t.match(await run(['exec', '--task-id', 'a', 'ls']), { code: 0, stdout: '' }, 'the file went with the slot')
    await run(['exec', '--task-id', 'b', 'sleep 8639921 &'])
    t.match(await run(['release', '--all']), { code: 0, stdout: '', stderr: 'slotpool: released 2 slots\n' })
    t.match(JSON.parse((await run(['status', '--json'])).stdout).totals, { leased: 0 })
  })

  await t.test('down ends it with all that runs there', async (t) => {
    await run(['exec', '--task-id', 'a', 'sleep 8639922 &'])
    t.match(await run(['down']), { code: 0, stdout: '', stderr: '' })
    t.same(await localLeft(pool), [])
    t.match(await run(['status', '--json']), { code: 0, stdout: /"containers":\[\]/ })
  })
})
