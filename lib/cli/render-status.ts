import { limitsText } from '../pool/limits-text.ts'
import type { PoolStatus } from '../pool/pool-status.ts'
import { printable } from './printable.ts'

/** The status of a pool for people: a line for the pool, one for each container, one for each slot that is leased or out of order. */
export function renderStatus(status: PoolStatus): string {
  const { pool, backend, isolation, root, network, containers, totals } = status
  if (containers.length === 0) return `pool ${pool} (${backend}): not running\n`
  const lines = [
    `pool ${pool} (${backend}): ${count(totals.containers, 'container')}, ${totals.leased} of ${count(totals.slots, 'slot')} leased, ` +
      `isolation ${isolation ?? 'unknown'}, root ${root ?? 'unknown'}, network ${network ?? 'unknown'}`,
  ]
  if (status.tools_image !== null) lines.push(`  image ${status.image}, served with the tools of ${status.tools_image}`)
  if (status.network_reason !== null) lines.push(`  network: ${status.network_reason}`)
  const limits = status.limits === null ? '' : limitsText(status.limits)
  if (limits !== '') lines.push(`  each slot: ${limits}`)
  for (const change of status.changed_by_hand) lines.push(`  changed by hand: ${change}`)
  const versions = new Set(containers.map((one) => one.version))
  for (const container of containers) {
    const { version, image, earlier } = container
    const made =
      versions.size > 1 && version !== null
        ? `  version ${version}${image === null ? '' : ` (${image})`}${earlier ? ', makes room' : ''}`
        : ''
    lines.push(
      `  ${container.id.slice(0, 12)}  ${container.node}  ${container.state}${container.reason ? `: ${container.reason}` : ''}${made}`,
    )
    for (const slot of container.slots) {
      if (slot.task_id !== null) lines.push(`    slot ${slot.slot}  task ${slot.task_id}  expires ${slot.expires_at}`)
      else if (slot.reason !== null) lines.push(`    slot ${slot.slot}  ${slot.state}: ${slot.reason}`)
    }
  }
  return `${lines.map(printable).join('\n')}\n`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
