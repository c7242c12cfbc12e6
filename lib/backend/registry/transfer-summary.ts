import type { TransferProgress } from './registry.ts'

const mebibyte = 1024 * 1024

/** How far a whole transfer is, from what is told of its parts. */
export class TransferSummary {
  readonly #parts = new Map<string, TransferProgress>()

  take(progress: TransferProgress): void {
    const before = this.#parts.get(progress.item)
    // An engine tells no more how large a part was once it is over.
    this.#parts.set(progress.item, { ...progress, totalBytes: progress.totalBytes ?? before?.totalBytes ?? null })
  }

  /** Such as `3 of 7 parts, 12.3 of 420.0 MiB`; sizes that nobody knows are left out. */
  get text(): string {
    const parts = [...this.#parts.values()]
    const done = parts.filter((part) => part.done)
    const total = sum(parts.map((part) => part.totalBytes ?? 0))
    const moved = sum(parts.map((part) => (part.done ? (part.totalBytes ?? 0) : part.doneBytes)))
    const bytes = total === 0 ? '' : `, ${inMebibytes(moved)} of ${inMebibytes(total)} MiB`
    return `${done.length} of ${parts.length} parts${bytes}`
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0)
}

function inMebibytes(bytes: number): string {
  return (bytes / mebibyte).toFixed(1)
}
