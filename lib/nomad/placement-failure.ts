import { SlotpoolError } from '../errors.ts'
import type { Evaluation, PlacementMetric } from './evaluations.ts'

/** The evaluation's failure to place an allocation of `group`, in Nomad's own dimensions and constraints; null when it placed all. */
export function placementFailure(evaluation: Evaluation, jobId: string, group: string, driver = 'docker'): SlotpoolError | null {
  const metric = evaluation.FailedTGAllocs?.[group]
  if (metric === undefined) return null
  const missing = metric.CoalescedFailures + 1
  const reasons = placementReasons(metric)
  return new SlotpoolError(
    'NOMAD_PLACEMENT_FAILED',
    `Nomad has no node for ${missing} more ${missing === 1 ? 'container' : 'containers'} of job ${jobId}: ${reasons.join('; ')}; ` +
      `expected room on a node that is ready and has the ${driver} driver`,
    { details: { jobId, missing, reasons, evaluation: evaluation.ID, ...blockage(evaluation, metric) } },
  )
}

/** What keeps the containers from being placed, to be counted and told: for each name the number of nodes. */
export interface Blockage {
  /** Nomad places them by itself as soon as there is room. */
  blocked: boolean
  /** What is used up: `memory`, `cpu`, `disk`, `network: port collision`, … */
  dimensions: Record<string, number>
  /** What nodes do not have: `missing drivers`, `missing host volume`, an attribute, … */
  constraints: Record<string, number>
  nodesEvaluated: number
  nodesExhausted: number
  /** By datacenter. */
  nodesAvailable: Record<string, number>
  quota: string[]
}

function blockage(evaluation: Evaluation, metric: PlacementMetric): Blockage {
  return {
    blocked: evaluation.Status === 'blocked' || evaluation.BlockedEval !== '',
    dimensions: { ...metric.DimensionExhausted },
    constraints: { ...metric.ConstraintFiltered },
    nodesEvaluated: metric.NodesEvaluated,
    nodesExhausted: metric.NodesExhausted,
    nodesAvailable: { ...metric.NodesAvailable },
    quota: [...(metric.QuotaExhausted ?? [])],
  }
}

/** What `nomad job status` says under "Placement Failure", a line for each reason. */
export function placementReasons(metric: PlacementMetric): string[] {
  const each = (counts: Record<string, number> | null | undefined, words: (name: string, nodes: string) => string): string[] =>
    Object.entries(counts ?? {}).map(([name, count]) => words(name, `${count} ${count === 1 ? 'node' : 'nodes'}`))
  const reasons = [
    ...each(metric.ConstraintFiltered, (name, nodes) => `constraint ${JSON.stringify(name)} excluded ${nodes}`),
    ...each(metric.ClassFiltered, (name, nodes) => `class ${JSON.stringify(name)} excluded ${nodes}`),
    ...each(metric.DimensionExhausted, (name, nodes) => `dimension ${JSON.stringify(name)} exhausted on ${nodes}`),
    ...each(metric.ClassExhausted, (name, nodes) => `class ${JSON.stringify(name)} exhausted on ${nodes}`),
    ...(metric.QuotaExhausted ?? []).map((name) => `quota limit hit: ${JSON.stringify(name)}`),
    ...Object.entries(metric.NodesAvailable ?? {})
      .filter(([, count]) => count === 0)
      .map(([name]) => `no nodes are available in datacenter ${JSON.stringify(name)}`),
  ]
  if (metric.NodesEvaluated === 0) reasons.unshift('no nodes were eligible for evaluation')
  if (metric.NodesInPool === 0) reasons.push(`no nodes in node pool ${JSON.stringify(metric.NodePool ?? 'default')}`)
  return reasons.length > 0 ? reasons : ['Nomad gave no reason']
}
