import { createHash, timingSafeEqual } from 'node:crypto'
import { SlotpoolError } from '../errors.ts'

/** Checks bearer tokens without telling, by how long it takes, how much of one was right. */
export class Authentication {
  readonly #expected: Buffer

  constructor(token: string) {
    this.#expected = digest(token)
  }

  /** @throws {SlotpoolError} `UNAUTHORIZED`. */
  check(authorization: string | undefined): void {
    const token = authorization?.match(/^Bearer (.+)$/)?.[1]
    if (token !== undefined && timingSafeEqual(digest(token), this.#expected)) return
    throw new SlotpoolError(
      'UNAUTHORIZED',
      token === undefined ? 'got no bearer token, expected that of the pool' : 'got a token that is not that of this pool',
    )
  }
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
