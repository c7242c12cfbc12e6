/** Does `count` things, one for each of `workers` at a time; resolves when all are done. */
export async function inParallel(count: number, workers: number, work: (worker: number) => Promise<void>): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      while (left > 0) {
        left--
        await work(worker)
      }
    }),
  )
}
