import t from 'tap'
import { renderStatus } from '../../lib/cli/render-status.ts'
import type { ContainerStatus, PoolStatus, SlotStatus } from '../../lib/pool/pool-status.ts'

const free: SlotStatus = {
  slot: 0,
  state: 'idle',
  reason: null,
  task_id: null,
  lease_id: null,
  owner: null,
  metadata: null,
  expires_at: null,
}

function poolWith(slots: SlotStatus[]): PoolStatus {
  return {
    pool: 'p',
    backend: 'docker',
    image: 'i:1',
    tools_image: null,
    isolation: 'jail',
    root: 'copy-on-write',
    network: 'none',
    network_reason: null,
    limits: null,
    version: '1a2b3c4d',
    changed_by_hand: [],
    containers: [{ id: '0123456789abcdef', node: 'n', state: 'draining', version: '1a2b3c4d', image: 'i:1', earlier: false, slots }],
    totals: { containers: 1, slots: slots.length, leased: 1, idle: 1 },
  }
}

t.test('slots that are leased or out of order have a line, with the reason, and no other has', async (t) => {
  const status = poolWith([
    free,
    { ...free, slot: 1, state: 'leased', task_id: 'a', lease_id: 'l', owner: 'o', expires_at: '2026-01-01T00:00:00.000Z' },
    { ...free, slot: 2, state: 'quarantined', reason: 'it could not be wiped\u001b[31m' },
    { ...free, slot: 3, state: 'spent', reason: 'it was leased 5 times' },
    { ...free, slot: 4, state: 'failed', reason: 'no memory' },
    { ...free, slot: 5, state: 'preparing' },
  ])
  t.same(renderStatus(status).split('\n'), [
    'pool p (docker): 1 container, 1 of 6 slots leased, isolation jail, root copy-on-write, network none',
    '  0123456789ab  n  draining',
    '    slot 1  task a  expires 2026-01-01T00:00:00.000Z',
    '    slot 2  quarantined: it could not be wiped\\u{1b}[31m',
    '    slot 3  spent: it was leased 5 times',
    '    slot 4  failed: no memory',
    '',
  ])
})

t.test('while a pool is changed each container has its version, and what was changed by hand is said', async (t) => {
  const status = poolWith([])
  const [container] = status.containers as [ContainerStatus]
  const newer: ContainerStatus = { ...container, id: 'ffff456789abcdef', state: 'ready', version: 'ffffffff', image: 'i:2' }
  const containers = [{ ...container, earlier: true }, newer]
  t.same(
    renderStatus({ ...status, containers, changed_by_hand: ['MemoryMB is 700, was 512'] })
      .split('\n')
      .slice(1),
    [
      '  changed by hand: MemoryMB is 700, was 512',
      '  0123456789ab  n  draining  version 1a2b3c4d (i:1), makes room',
      '  ffff456789ab  n  ready  version ffffffff (i:2)',
      '',
    ],
  )
})

t.test('where the server comes from, when that is not the image', async (t) => {
  t.match(renderStatus({ ...poolWith([]), tools_image: 'tools:1' }), '\n  image i:1, served with the tools of tools:1\n')
})

t.test('a pool without containers is not running', async (t) => {
  t.equal(renderStatus({ ...poolWith([]), containers: [] }), 'pool p (docker): not running\n')
})
