/** What a lease id looks like, of whatever boot. */
const pattern = /^(?<boot>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?<number>[1-9][0-9]{0,15})$/

/** What an id that no lease here has was once: given by this boot, by another, or by none. */
export type IdOrigin = 'this-boot' | 'other-boot' | 'none'

/** Names the leases of one boot, so that whoever has an id knows whose it is: the boot id and a number, never used again. */
export class LeaseIds {
  readonly #bootId: string
  #given = 0

  /** `bootId` is a UUID. */
  constructor(bootId: string) {
    this.#bootId = bootId
  }

  next(): string {
    return `${this.#bootId}-${++this.#given}`
  }

  /** Where an id comes from, however long ago it was given. */
  originOf(leaseId: string): IdOrigin {
    const { boot, number } = pattern.exec(leaseId)?.groups ?? {}
    if (boot === undefined) return 'none'
    if (boot !== this.#bootId) return 'other-boot'
    return Number(number) <= this.#given ? 'this-boot' : 'none'
  }
}
