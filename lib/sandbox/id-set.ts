import { createHash } from 'node:crypto'

/** Two of these words make the fingerprint of an id; both 0 stand for an empty place. */
const words = 2
const firstPlaces = 64

/**
 * Ids that are never forgotten, each by a fingerprint of 64 bits: 16 to 32 bytes of memory an id, whatever its length. That one which is not in it
 * seems to be is a matter of chance: one in 2^64 divided by their number.
 */
export class IdSet {
  #table = new Uint32Array(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(id: string): boolean {
    return this.#size > 0 && this.#placeOf(...fingerprint(id)).taken
  }

  add(id: string): void {
    if (this.#size * 2 >= this.#table.length / words) this.#grow()
    this.#put(...fingerprint(id))
  }

  #put(low: number, high: number): void {
    const { at, taken } = this.#placeOf(low, high)
    if (taken) return
    this.#table[at] = low
    this.#table[at + 1] = high
    this.#size++
  }

  #placeOf(low: number, high: number): { at: number; taken: boolean } {
    const mask = this.#table.length / words - 1
    for (let place = low & mask; ; place = (place + 1) & mask) {
      const at = place * words
      const [found, other] = [this.#table[at], this.#table[at + 1]]
      if (found === 0 && other === 0) return { at, taken: false }
      if (found === low && other === high) return { at, taken: true }
    }
  }

  #grow(): void {
    const before = this.#table
    this.#table = new Uint32Array(Math.max(firstPlaces * words, before.length * 2))
    this.#size = 0
    for (let at = 0; at < before.length; at += words) {
      const [low, high] = [before[at] as number, before[at + 1] as number]
      if (low !== 0 || high !== 0) this.#put(low, high)
    }
  }
}

function fingerprint(id: string): [low: number, high: number] {
  const digest = createHash('sha256').update(id).digest()
  // Never that of an empty place.
  return [digest.readUInt32LE(0), digest.readUInt32LE(4) || 1]
}
