import { SlotpoolError } from '../errors.ts'
import { maxMembers, type Roster, type RosterOpening, type RosterProposal, type Whereabouts } from '../wire/roster.ts'

/** Notes of tasks whose leases expired elsewhere are told to nobody; with so many more than there were, they are gathered anew. */
const roomForNotes = 10_000

/**
 * The roster that this server was told last, and where the tasks are that are at home here and have their slot elsewhere.
 *
 * While the roster is closed the notes are those of the one before it. What they say is still right of the leases that they name; that a task
 * is in none of them says nothing.
 */
export class HeldRoster {
  #roster: Roster | null = null
  #notes = new Map<string, Whereabouts>()
  #mostNotes = roomForNotes

  get current(): Roster | null {
    return this.#roster
  }

  /**
   * Takes a new roster in the place of the one it was made from, closed.
   *
   * @throws {SlotpoolError} `ROSTER_CHANGED`; `REQUEST_INVALID` when what is added is there, what is gone is not, or none or too many remain.
   */
  propose({ id, number, replaces, added, gone }: RosterProposal): void {
    const held = this.#roster ?? { id: null, number: 0, containers: [] }
    if (replaces !== held.id)
      throw changed(`got a roster in the place of ${replaces ?? 'none'}, expected one in the place of ${held.id ?? 'none'}`)
    if (number <= held.number) throw changed(`got roster number ${number}, expected one above ${held.number}`)
    this.#roster = { id, number, containers: changedMembers(held.containers, added, gone), open: false }
  }

  /** From now on this server says who of those at home here has a slot. @throws {SlotpoolError} `ROSTER_CHANGED`. */
  open({ id, whereabouts }: RosterOpening): void {
    if (this.#roster?.id !== id) throw changed(`got roster ${id}, which is not the last one that was proposed`)
    if (this.#roster.open) return
    this.#roster = { ...this.#roster, open: true }
    this.#notes = new Map(whereabouts.map((one) => [one.taskId, one]))
    this.#mostNotes = this.#notes.size + roomForNotes
  }

  /** Whether tasks get their slots by this roster now. */
  serves(id: string): boolean {
    return this.#roster?.open === true && this.#roster.id === id
  }

  /** @throws {SlotpoolError} `ROSTER_CHANGED`. */
  check(id: string): void {
    if (this.serves(id)) return
    throw changed(`got roster ${id}, expected ${this.#roster?.id ?? 'none'}${this.#roster?.open === false ? ', once it is open' : ''}`)
  }

  /** Where a task is, unless that is the lease that its asker knows to have ended. */
  find(taskId: string, gone: string | undefined): Whereabouts | undefined {
    const noted = this.#notes.get(taskId)
    return noted?.leaseId === gone ? undefined : noted
  }

  note(where: Whereabouts): void {
    this.#notes.set(where.taskId, where)
    if (this.#roster && this.#notes.size > this.#mostNotes) this.#roster = { ...this.#roster, open: false }
  }

  /** Drops the note of a lease that has ended. */
  forget(taskId: string, leaseId: string | undefined): void {
    if (this.#notes.get(taskId)?.leaseId === leaseId) this.#notes.delete(taskId)
  }
}

/** In the order in which all know them. */
function changedMembers(before: readonly string[], added: readonly string[], gone: readonly string[]): string[] {
  const members = new Set(before)
  for (const id of gone) if (!members.delete(id)) throw misfit(`got container ${id} as gone, which is no member`)
  for (const id of added) {
    if (members.has(id)) throw misfit(`got container ${id} as added, which is a member`)
    members.add(id)
  }
  if (members.size < 1 || members.size > maxMembers) throw misfit(`got a roster of ${members.size}, expected 1 to ${maxMembers} containers`)
  return [...members].sort()
}

function misfit(message: string): SlotpoolError {
  return new SlotpoolError('REQUEST_INVALID', message)
}

function changed(message: string): SlotpoolError {
  return new SlotpoolError('ROSTER_CHANGED', message)
}
