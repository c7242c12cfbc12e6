import { placementReasons } from '../nomad/placement-failure.ts'
import type { DiffPart, JobPlan } from '../nomad/plan.ts'
import { printable } from './printable.ts'

const marks = { Added: '+ ', Deleted: '- ', Edited: '± ', None: '  ' } as const

/** What would change, a line for each thing, as `nomad job plan` marks it; what stays is left out. */
export function renderPlan({ Diff, FailedTGAllocs, Warnings, JobModifyIndex }: JobPlan): string {
  const lines = [Diff.Type === 'None' ? `job ${Diff.ID}: nothing changes` : `${marks[Diff.Type]}job ${Diff.ID}`, ...changes(Diff, 1)]
  for (const group of Diff.TaskGroups ?? []) {
    if (group.Type === 'None') continue
    const updates = Object.entries(group.Updates ?? {}).map(([what, count]) => `${count} ${what}`)
    lines.push(`${indent(1)}${marks[group.Type]}group ${group.Name}${updates.length > 0 ? ` (${updates.join(', ')})` : ''}`)
    lines.push(...changes(group, 2))
    for (const task of group.Tasks ?? []) {
      if (task.Type === 'None') continue
      const forced = task.Annotations ?? []
      lines.push(`${indent(2)}${marks[task.Type]}task ${task.Name}${forced.length > 0 ? ` (${forced.join(', ')})` : ''}`)
      lines.push(...changes(task, 3))
    }
  }
  for (const [name, metric] of Object.entries(FailedTGAllocs ?? {})) {
    const missing = metric.CoalescedFailures + 1
    lines.push(
      `no node for ${missing} more ${missing === 1 ? 'container' : 'containers'} of group ${name}: ${placementReasons(metric).join('; ')}`,
    )
  }
  if (Warnings) lines.push(`warnings: ${Warnings}`)
  lines.push(`job modify index ${JobModifyIndex}`)
  return `${lines.map(printable).join('\n')}\n`
}

const indent = (depth: number): string => '  '.repeat(depth)

function changes({ Fields, Objects }: DiffPart, depth: number): string[] {
  const fields = (Fields ?? []).filter((one) => one.Type !== 'None')
  const objects = (Objects ?? []).filter((one) => one.Type !== 'None')
  return [
    ...fields.map(({ Type, Name, Old, New, Annotations }) => {
      const why = Annotations && Annotations.length > 0 ? ` (${Annotations.join(', ')})` : ''
      const values =
        Type === 'Added'
          ? JSON.stringify(New)
          : Type === 'Deleted'
            ? JSON.stringify(Old)
            : `${JSON.stringify(Old)} => ${JSON.stringify(New)}`
      return `${indent(depth)}${marks[Type]}${Name}: ${values}${why}`
    }),
    ...objects.flatMap((one) => [`${indent(depth)}${marks[one.Type]}${one.Name}`, ...changes(one, depth + 1)]),
  ]
}
