import type { Recording } from './recording.ts'

/** Objects in which the names are data, not fields. */
const maps = new Set([
  ...['TaskStates', 'Meta', 'Details', 'Drivers', 'FailedTGAllocs', 'Attributes', 'Items', 'Env', 'Config', 'QueuedAllocations', 'Tasks'],
  ...['ClassEligibility', 'ClassFiltered', 'ConstraintFiltered', 'NodesAvailable', 'DimensionExhausted', 'ClassExhausted', 'Updates'],
])

type Kinds = Map<string, Set<string>>

/**
 * Where two agents answer differently: fields of another kind (a number where the other has text), and those that one of them always tells and the
 * other never. What is empty for one of them says nothing of its kind.
 */
export function differences(one: Recording, other: Recording): string[] {
  const [ones, others] = [kindsOf(one), kindsOf(other)]
  const found: string[] = []
  for (const [path, kinds] of ones) {
    const theirs = others.get(path)
    if (!theirs) {
      // A field of an object that the other never told, either, is not missed for itself.
      if (others.has(path.slice(0, path.lastIndexOf('.')))) found.push(`${path}: only in answers of ${one.nomad}`)
    } else if (kinds.size > 0 && theirs.size > 0 && ![...kinds].some((kind) => theirs.has(kind))) {
      found.push(`${path}: ${[...kinds].join(' or ')} for ${one.nomad}, ${[...theirs].join(' or ')} for ${other.nomad}`)
    }
  }
  return found
}

/** Each field of the answers, by request and way to it, with what it was seen to be. */
function kindsOf({ scenarios }: Recording): Kinds {
  const kinds: Kinds = new Map()
  for (const { method, path, status, answer } of Object.values(scenarios).flat()) {
    note(kinds, `${method} ${path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, ':id').replace(/contract-\w+/g, ':job')} ${status} `, answer)
  }
  return kinds
}

function note(kinds: Kinds, path: string, value: unknown): void {
  const seen = kinds.get(path) ?? new Set()
  kinds.set(path, seen)
  if (value === null || value === undefined || value === '') return
  if (Array.isArray(value)) {
    seen.add('list')
    for (const one of value) note(kinds, `${path}[]`, one)
  } else if (typeof value === 'object') {
    seen.add('object')
    const isMap = maps.has(path.slice(path.lastIndexOf('.') + 1))
    for (const [name, one] of Object.entries(value)) note(kinds, isMap ? `${path}.*` : `${path}.${name}`, one)
  } else seen.add(typeof value)
}
