/**
 * The lowest `count` numbers that are not in `taken`. Always the lowest: processes that grow a pool at the same time then want the same
 * names, and the engine lets only one of them have each.
 */
export function freeIndexes(taken: ReadonlySet<number>, count: number): number[] {
  const free: number[] = []
  for (let index = 0; free.length < count; index++) if (!taken.has(index)) free.push(index)
  return free
}
