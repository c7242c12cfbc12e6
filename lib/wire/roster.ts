import { z } from 'zod'
import { lease, leaseId, leaseRequest, taskId } from './lease.ts'

const containerId = z.string().min(1).max(200)
const rosterId = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'expected 1 to 64 letters, digits and dashes')

/** How many containers a roster has at most. */
export const maxMembers = 10_000

const containerIds = z.array(containerId).max(maxMembers)

const rosterShape = {
  id: rosterId,
  /** Higher than that of any before. */
  number: z.int().min(1),
}

/** The containers among which every task has its home, as a server holds it: closed until all other containers were told, too. */
export const roster = z.object({ ...rosterShape, containers: containerIds.min(1), open: z.boolean() })
export type Roster = z.infer<typeof roster>

/**
 * A new roster. `replaces` is the one that the server had when it was asked. It has all containers of that one but those that are dead
 * (`gone`), and those that were `added`: every container is told of every change, so neither says all that stay.
 */
export const rosterProposal = z.strictObject({ ...rosterShape, replaces: rosterId.nullable(), added: containerIds, gone: containerIds })
export type RosterProposal = z.infer<typeof rosterProposal>

/** Asks for the roster of a server; `known` is one whose containers need not be told. */
export const rosterQuery = z.strictObject({ known: rosterId.optional() })

/** The roster of a server; null when it was never told one. Without `containers` it is the one that was `known`. */
export const rosterLookup = z.object({ roster: roster.partial({ containers: true }).nullable() })

/** A lease that stands when a roster is proposed. */
export const standingLease = z.object({ taskId, leaseId, owner: leaseRequest.shape.owner })
export type StandingLease = z.infer<typeof standingLease>

/** The answer to a {@link rosterProposal}: all leases that stand there. None comes to stand under an earlier roster after it. */
export const proposalAccepted = z.object({ leases: z.array(standingLease) })

/** Where a task has its slot, when that is not its home. */
export const whereabouts = z.strictObject({ ...standingLease.shape, containerId })
export type Whereabouts = z.infer<typeof whereabouts>

/** Opens a roster at a home: where the tasks are that are at home there and have their slot elsewhere. */
export const rosterOpening = z.strictObject({ id: rosterId, whereabouts: z.array(whereabouts) })
export type RosterOpening = z.infer<typeof rosterOpening>

/** Asks a task's home for its slot, or with `provisional` another container, when the home is full. */
export const homeLeaseRequest = z.strictObject({
  ...leaseRequest.shape,
  /** The roster by which this is the task's home, or by which the home was found full. */
  roster: rosterId,
  /** The lease that the home had noted down elsewhere and that has ended there. */
  gone: leaseId.optional(),
})
export type HomeLeaseRequest = z.input<typeof homeLeaseRequest>
export type CheckedHomeLeaseRequest = z.output<typeof homeLeaseRequest>

/** What a home says of a task: its lease here, or where it is; neither, when it has no slot. */
export const homeAnswer = z.object({ lease: lease.nullable(), created: z.boolean(), elsewhere: whereabouts.nullable() })
export type HomeAnswer = z.infer<typeof homeAnswer>

/** Asks a home to note down where a task gets its slot. */
export const whereaboutsRequest = z.strictObject({ ...whereabouts.shape, roster: rosterId, gone: leaseId.optional() })
export type WhereaboutsRequest = z.infer<typeof whereaboutsRequest>

export const homeQuery = z.strictObject({ taskId, roster: rosterId })
export const forgetQuery = z.strictObject({ taskId, leaseId })
