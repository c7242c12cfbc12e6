import { randomBytes } from 'node:crypto'
import { SlotpoolError } from '../../errors.ts'
import type { NomadClient } from '../../nomad/client.ts'
import { poolVariablePath, tokenItem } from '../../nomad/job-spec.ts'
import { createVariable, deleteVariable, readVariable, type Variable } from '../../nomad/variables.ts'
import type { PoolToken } from './nomad-pool.ts'

const tokenBytes = 32

/** The pool's token in a Nomad Variable: whoever may read variables under the job's name shares it. */
export class VariableToken implements PoolToken {
  readonly #client: NomadClient
  readonly #path: string
  /** Callers of this process may hold this one already, so one that has to be made again is the same. */
  #last: string | undefined
  /** The version of the variable that this process made. */
  #made: number | undefined

  constructor(client: NomadClient, pool: string) {
    this.#client = client
    this.#path = poolVariablePath(pool)
  }

  async ensure(signal?: AbortSignal): Promise<string> {
    for (;;) {
      const found = await readVariable(this.#client, this.#path, signal)
      if (found !== null) {
        this.#last = this.#read(found)
        return this.#last
      }
      try {
        const token = this.#last ?? randomBytes(tokenBytes).toString('base64url')
        // Not given up half-way: what was made must be known, or nobody could take it back.
        const made = await createVariable(this.#client, this.#path, { [tokenItem]: token })
        this.#made = made.ModifyIndex
        this.#last = token
        return token
      } catch (error) {
        // Another process made it between the two requests; the next round reads its token.
        if (!(error instanceof SlotpoolError && error.code === 'NOMAD_CONFLICT')) throw error
      }
    }
  }

  async undo(signal?: AbortSignal): Promise<void> {
    if (this.#made === undefined) return
    try {
      await deleteVariable(this.#client, this.#path, this.#made, signal)
    } catch (error) {
      if (!(error instanceof SlotpoolError && error.code === 'NOMAD_CONFLICT')) throw error
    }
    this.#made = undefined
  }

  async remove(needed: () => Promise<boolean>, signal?: AbortSignal): Promise<void> {
    const found = await readVariable(this.#client, this.#path, signal)
    await deleteVariable(this.#client, this.#path, undefined, signal)
    this.#made = undefined
    this.#last = undefined
    if (found === null || !(await needed())) return
    await createVariable(this.#client, this.#path, found.Items).catch((error) => {
      if (!(error instanceof SlotpoolError && error.code === 'NOMAD_CONFLICT')) throw error
    })
  }

  #read(variable: Variable): string {
    const token = variable.Items[tokenItem]
    if (token) return token
    throw new SlotpoolError(
      'NOMAD_REQUEST_FAILED',
      `the Nomad variable ${this.#path} has no item "${tokenItem}"; expected the token of the pool`,
      {
        details: { path: this.#path },
        retryable: false,
      },
    )
  }
}
