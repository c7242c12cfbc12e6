import t from 'tap'
import type { Evaluation, PlacementMetric } from '../../lib/nomad/evaluations.ts'
import { placementFailure, placementReasons } from '../../lib/nomad/placement-failure.ts'

const metric = (change: Partial<PlacementMetric>): PlacementMetric =>
  ({ NodesEvaluated: 1, NodesExhausted: 0, CoalescedFailures: 0, ...change }) as PlacementMetric
const evaluation = (change: Partial<Evaluation>): Evaluation =>
  ({ ID: 'e1', Status: 'complete', StatusDescription: '', BlockedEval: '', ...change }) as Evaluation

t.test('none when all was placed', async (t) => {
  t.equal(placementFailure(evaluation({}), 'j', 'sandbox'), null)
  t.equal(placementFailure(evaluation({ FailedTGAllocs: { other: metric({}) } }), 'j', 'sandbox'), null)
})

t.test('one error with the number that is missing and the reasons', async (t) => {
  const failed = metric({ CoalescedFailures: 2, DimensionExhausted: { memory: 3 }, NodesExhausted: 3 })
  const error = placementFailure(evaluation({ FailedTGAllocs: { sandbox: failed } }), 'slotpool-p', 'sandbox')
  t.match(error, { code: 'NOMAD_PLACEMENT_FAILED', details: { missing: 3, reasons: ['dimension "memory" exhausted on 3 nodes'] } })
  t.match(error?.message, /no node for 3 more containers of job slotpool-p: dimension "memory" exhausted on 3 nodes/)
})

t.test('what is missing can be counted', async (t) => {
  const full = metric({
    ...{ NodesEvaluated: 5, NodesExhausted: 3, NodesAvailable: { dc1: 5 } },
    ...{ DimensionExhausted: { memory: 2, cpu: 1 }, ConstraintFiltered: { 'missing drivers': 2 }, QuotaExhausted: ['memory'] },
  })
  const details = (change: Partial<Evaluation>) =>
    placementFailure(evaluation({ FailedTGAllocs: { sandbox: full }, ...change }), 'j', 'sandbox')?.details
  t.match(details({ BlockedEval: 'b' }), {
    ...{ blocked: true, nodesEvaluated: 5, nodesExhausted: 3, nodesAvailable: { dc1: 5 }, quota: ['memory'] },
    ...{ dimensions: { memory: 2, cpu: 1 }, constraints: { 'missing drivers': 2 } },
  })
  t.match(details({ Status: 'blocked' }), { blocked: true })
  t.match(details({}), { blocked: false }, 'when nothing waits for room')
  const bare = placementFailure(evaluation({ FailedTGAllocs: { sandbox: metric({}) } }), 'j', 'sandbox')?.details
  t.match(bare, { dimensions: {}, constraints: {}, nodesAvailable: {}, quota: [] })
})

t.test('the reasons Nomad knows', async (t) => {
  t.strictSame(placementReasons(metric({ ConstraintFiltered: { 'missing drivers': 1 } })), ['constraint "missing drivers" excluded 1 node'])
  t.strictSame(placementReasons(metric({ ClassFiltered: { gpu: 2 }, ClassExhausted: { big: 1 } })), [
    'class "gpu" excluded 2 nodes',
    'class "big" exhausted on 1 node',
  ])
  t.strictSame(placementReasons(metric({ QuotaExhausted: ['memory'] })), ['quota limit hit: "memory"'])
  t.strictSame(placementReasons(metric({ NodesEvaluated: 0, NodesInPool: 0, NodePool: 'default', NodesAvailable: { dc1: 0 } })), [
    'no nodes were eligible for evaluation',
    'no nodes are available in datacenter "dc1"',
    'no nodes in node pool "default"',
  ])
  t.strictSame(placementReasons(metric({})), ['Nomad gave no reason'])
})
