import type { FastifyInstance } from 'fastify'
import { forgetQuery, type HomeAnswer, rosterOpening, rosterProposal, rosterQuery, whereaboutsRequest } from '../wire/roster.ts'
import type { AtHome, LeaseTable } from './lease-table.ts'
import { checked } from './requests.ts'

/** The routes by which managers agree where each task is at home, and keep note of those that have their slot elsewhere. */
export function addRosterRoutes(app: FastifyInstance, { bootId, leases }: { bootId: string; leases: LeaseTable }): void {
  app.get('/v1/roster', async (request) => {
    const { known } = checked(rosterQuery, request.query)
    const { current } = leases.roster
    return { roster: current && current.id === known ? { ...current, containers: undefined } : current }
  })

  app.put('/v1/roster', async (request) => {
    const standing = leases.propose(checked(rosterProposal, request.body))
    return { leases: standing.map(({ taskId, leaseId, owner }) => ({ taskId, leaseId, owner })) }
  })

  app.post('/v1/roster/open', async (request, reply) => {
    leases.roster.open(checked(rosterOpening, request.body))
    return reply.status(204).send()
  })

  app.post('/v1/whereabouts', async (request) => homeAnswer(await leases.note(checked(whereaboutsRequest, request.body)), bootId))

  app.delete('/v1/whereabouts', async (request, reply) => {
    const { taskId, leaseId } = checked(forgetQuery, request.query)
    leases.roster.forget(taskId, leaseId)
    return reply.status(204).send()
  })
}

/** What is known of a task at its home, as the wire tells it. */
export function homeAnswer({ lease, created, elsewhere }: AtHome, bootId: string): HomeAnswer {
  return { lease: lease?.describe(bootId) ?? null, created: created ?? false, elsewhere: elsewhere ?? null }
}
