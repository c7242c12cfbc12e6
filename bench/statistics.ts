/** Samples in a few numbers, of the samples' own unit. */
export interface Summary {
  n: number
  min: number
  p25: number
  p50: number
  p75: number
  p99: number
  max: number
  /** The median distance from the median. */
  mad: number
}

/** @throws {RangeError} when there are no samples: nothing is known then. */
export function summarize(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new RangeError('got no samples, expected at least one')
  const sorted = sort(samples)
  const p50 = quantile(sorted, 0.5)
  return {
    n: sorted.length,
    min: sorted[0] as number,
    p25: quantile(sorted, 0.25),
    p50,
    p75: quantile(sorted, 0.75),
    p99: quantile(sorted, 0.99),
    max: sorted.at(-1) as number,
    mad: quantile(sort(sorted.map((sample) => Math.abs(sample - p50))), 0.5),
  }
}

export function median(samples: readonly number[]): number {
  return summarize(samples).p50
}

/** Where a part of the sorted samples lies below: between two of them, in proportion (type 7 of Hyndman and Fan, the default of R and NumPy). */
export function quantile(sorted: readonly number[], part: number): number {
  const at = (sorted.length - 1) * part
  const below = sorted[Math.floor(at)] as number
  const above = sorted[Math.ceil(at)] as number
  return below + (above - below) * (at - Math.floor(at))
}

const sort = (samples: readonly number[]): number[] => [...samples].sort((a, b) => a - b)
