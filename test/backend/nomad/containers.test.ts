import t from 'tap'
import { allocationEndpoint, poolAllocations, toContainer } from '../../../lib/backend/nomad/containers.ts'
import type { AllocationStub } from '../../../lib/nomad/allocations.ts'

function allocation(id: string, index: number, change: Partial<AllocationStub> = {}): AllocationStub {
  return {
    ...{ ID: id, Name: `slotpool-p.sandbox[${index}]`, NodeID: 'n', NodeName: 'node-1', TaskGroup: 'sandbox', CreateIndex: 1 },
    ...{ DesiredStatus: 'run', ClientStatus: 'running', ClientDescription: '' },
    ...change,
  }
}

const version = { id: '1a2b3c4d', generation: 0, image: 'i' }
const endpoint = { url: 'http://127.0.0.1:1' }

t.test('those that ended as they should or were replaced are no containers any more', async (t) => {
  const all = [
    allocation('third', 10),
    allocation('replaced', 0, { ClientStatus: 'failed', DesiredStatus: 'stop', NextAllocation: 'first' }),
    allocation('scaled down', 3, { ClientStatus: 'complete', DesiredStatus: 'stop' }),
    allocation('second', 9, { ClientStatus: 'failed' }),
    allocation('first', 0, { ClientStatus: 'pending' }),
    allocation('first, on its way out', 0, { DesiredStatus: 'stop', CreateIndex: 0 }),
  ]
  t.strictSame(
    poolAllocations(all).map((one) => one.allocation.ID),
    ['first, on its way out', 'first', 'second', 'third'],
  )
})

t.test('in a pool that is changed every container has a place of its own, those of the newest group before all others', async (t) => {
  const of = (id: string, group: string, index: number) =>
    allocation(id, index, { TaskGroup: group, Name: `slotpool-p.${group}[${index}]` })
  const all = [of('a', 'sandbox', 0), of('b', 'sandbox', 1), of('c', 'sandbox-12', 0), of('d', 'sandbox-12', 1), of('e', 'sandbox-3', 0)]
  t.same(
    poolAllocations(all).map((one) => one.allocation.ID),
    ['c', 'd', 'e', 'a', 'b'],
  )
  t.equal(new Set(poolAllocations(all).map((one) => one.index)).size, 5)
})

t.test('the endpoint is where the node published the port', async (t) => {
  t.equal(allocationEndpoint(undefined), undefined)
  t.equal(allocationEndpoint([{ Label: 'other', Value: 1, HostIP: '10.0.0.1' }]), undefined)
  t.strictSame(allocationEndpoint([{ Label: 'http', Value: 80, HostIP: '10.0.0.1' }]), { url: 'http://10.0.0.1:80' })
  t.strictSame(allocationEndpoint([{ Label: 'http', Value: 80, HostIP: 'fd00::1' }]), { url: 'http://[fd00::1]:80' })
})

t.test('states', async (t) => {
  const state = (change: Partial<AllocationStub>, silence?: string) =>
    toContainer({ allocation: allocation('a', 2, change), index: 2 }, version, endpoint, silence)
  t.strictSame(state({}), { id: 'a', index: 2, version, node: 'node-1', endpoint, state: 'ready' })
  t.match(state({}, 'connection refused'), { state: 'starting', reason: 'connection refused' })
  t.match(
    toContainer({ allocation: allocation('a', 2), index: 2 }, version, undefined, undefined),
    { state: 'starting' },
    'no port, no service',
  )
  t.match(state({ ClientStatus: 'pending' }), { state: 'starting', reason: 'client status pending' })
  t.match(state({ ClientStatus: 'unknown' }), { state: 'starting', reason: 'client status unknown' })
  t.match(state({ DesiredStatus: 'stop' }), { state: 'dead', ending: true, reason: /stopping/ })
  t.match(state({ ClientStatus: 'lost', ClientDescription: 'node is down' }), { state: 'dead', ending: undefined, reason: 'node is down' })
})

t.test('the reasons are Nomad’s words', async (t) => {
  const event = (Type: string, DisplayMessage: string) => ({ Type, DisplayMessage, Time: 0 })
  const events = [event('Received', 'Task received by client'), event('Driver', 'Downloading image')]
  const pulling = allocation('a', 0, { ClientStatus: 'pending', TaskStates: { x: { State: 'pending', Failed: false, Events: events } } })
  t.match(toContainer({ allocation: pulling, index: 0 }, version, endpoint, undefined), { state: 'starting', reason: 'Downloading image' })
  const ended = [...events, event('Terminated', 'Exit Code: 137'), event('Not Restarting', 'Policy allows no restarts')]
  const failed = allocation('a', 0, { ClientStatus: 'failed', TaskStates: { x: { State: 'dead', Failed: true, Events: ended } } })
  t.match(toContainer({ allocation: failed, index: 0 }, version, endpoint, undefined), { state: 'dead', reason: 'Exit Code: 137' })
})

t.test('an allocation of a group that somebody added is no container', async (t) => {
  t.same(poolAllocations([allocation('a', 0, { TaskGroup: 'shipper' })]), [])
})
