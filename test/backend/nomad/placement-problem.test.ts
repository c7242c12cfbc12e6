import t from 'tap'
import { placementProblem } from '../../../lib/backend/nomad/placement-problem.ts'
import type { Evaluation, PlacementMetric } from '../../../lib/nomad/evaluations.ts'

const evaluation = (ID: string, Status: Evaluation['Status'], change: Partial<Evaluation> = {}): Evaluation => ({
  ...{ ID, Status, StatusDescription: '', BlockedEval: '' },
  ...change,
})
const metric: PlacementMetric = { NodesEvaluated: 1, NodesExhausted: 1, CoalescedFailures: 0, DimensionExhausted: { memory: 1 } }
const FailedTGAllocs = { sandbox: metric }
const failed = { code: 'NOMAD_PLACEMENT_FAILED' }

t.test('what others’ evaluations say counts only once the own one is done', async (t) => {
  const blocked = evaluation('b', 'blocked', { FailedTGAllocs })
  t.equal(placementProblem([blocked], 'j', 'own'), null, 'not in the list yet')
  t.equal(placementProblem([blocked, evaluation('own', 'pending')], 'j', 'own'), null)
  t.match(placementProblem([blocked, evaluation('own', 'complete')], 'j', 'own'), failed)
  t.match(placementProblem([blocked], 'j', undefined), failed)
})

t.test('its own failure', async (t) => {
  t.match(placementProblem([evaluation('own', 'complete', { FailedTGAllocs })], 'j', 'own'), failed)
  const broken = placementProblem([evaluation('own', 'failed', { StatusDescription: 'maximum attempts reached (5)' })], 'j', 'own')
  t.match(broken, { ...failed, message: /maximum attempts reached/ })
})

t.test('none', async (t) => {
  t.equal(placementProblem([], 'j', undefined), null)
  const past = [evaluation('old', 'complete', { FailedTGAllocs }), evaluation('x', 'canceled', { FailedTGAllocs })]
  t.equal(placementProblem([...past, evaluation('own', 'complete')], 'j', 'own'), null)
})
