import type { LimitsInForce } from '../wire/limits.ts'

/** Of each limit that of the two which allows more: no limit at all allows most. */
export function weakerLimits(a: LimitsInForce, b: LimitsInForce): LimitsInForce {
  const names = Object.keys(a) as (keyof LimitsInForce)[]
  const weaker = names.map((name) => {
    const [one, other] = [a[name], b[name]]
    return [name, one && other && (one.value >= other.value ? one : other)]
  })
  return Object.fromEntries(weaker) as LimitsInForce
}
