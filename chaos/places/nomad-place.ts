import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import type { Backend, Container } from '../../lib/backend/backend.ts'
import { NomadBackend } from '../../lib/backend/nomad/nomad-backend.ts'
import { loadConfig, type SlotPoolOptions } from '../../lib/config.ts'
import { type AllocationStub, hasEnded, listJobAllocations } from '../../lib/nomad/allocations.ts'
import { NomadClient } from '../../lib/nomad/client.ts'
import { poolJobId, poolVariablePath, taskName } from '../../lib/nomad/job-spec.ts'
import { readJob } from '../../lib/nomad/jobs.ts'
import { readVariable } from '../../lib/nomad/variables.ts'
import { mountsWith } from '../leftovers/mounts.ts'
import { processesWith } from '../leftovers/processes.ts'
import { EngineContainers } from './engine-containers.ts'
import type { ContainerFault, Place, PlaceOptions } from './place.ts'
import { StoppedServers } from './stopped-servers.ts'

/** How long a node has to end what it runs before Nomad ends it. */
const drainDeadlineMs = 2_000
/**
 * A node that is not empty by then is not emptied: where a container failed in the same moment, and there is no other node, Nomad's scheduler gives
 * up after five attempts and stops the others when it has a node again.
 */
const drainPatienceMs = 15_000
const lookPauseMs = 200

/** Allocations of a Nomad job whose nodes are this machine. */
export class NomadPlace implements Place {
  readonly name = 'nomad'
  readonly managersUse = 'own'
  readonly options: SlotPoolOptions = { env: 'nomad', nomad: { fallback: 'none' } }
  readonly backend: Backend
  readonly #client: NomadClient
  readonly #pool: string
  readonly #containers = new EngineContainers()
  readonly #stopped = new StoppedServers()
  readonly #allocations = new Set<string>()
  readonly #drained = new Set<string>()
  readonly faults: Place['faults'] = {
    'server-kill': { inject: ({ id }) => this.#signal(id) },
    'server-stall': { inject: (container, extent) => this.#stall(container, extent) },
    'allocation-stop': { inject: ({ id }) => this.#change(`/v1/allocation/${id}/stop`, {}, `stop allocation ${id}`) },
    'node-drain': this.#drain(),
  }

  constructor({ pool, options }: PlaceOptions) {
    this.#pool = pool
    const config = loadConfig({ ...options, ...this.options })
    this.backend = new NomadBackend(config)
    this.#client = new NomadClient(config.nomad)
  }

  async note(): Promise<void> {
    for (const { ID } of await this.#list()) this.#allocations.add(ID)
  }

  async left(): Promise<string[]> {
    await this.note()
    const running = (await this.#list()).filter((one) => !hasEnded(one))
    const containers = await Promise.all([...this.#allocations].map((id) => this.#containersOf(id)))
    const job = await readJob(this.#client, poolJobId(this.#pool))
    const variable = await readVariable(this.#client, poolVariablePath(this.#pool))
    return [
      ...(job === null ? [] : [`job ${job.ID}`]),
      ...(variable === null ? [] : ['variable with the token']),
      ...running.map((one) => `allocation ${one.ID}, ${one.ClientStatus}`),
      ...containers.flat().map((id) => `container ${id}`),
      ...mountsWith([this.#pool, ...this.#allocations]),
      ...(await processesWith([this.#pool])),
    ]
  }

  async close(): Promise<void> {
    await this.#stopped.close()
    for (const node of this.#drained) await this.#makeEligible(node)
    this.#containers.close()
    this.#client.close()
    await this.backend.close()
  }

  /** Those of earlier jobs of the same id too. */
  async #list(): Promise<AllocationStub[]> {
    return (await listJobAllocations(this.#client, poolJobId(this.#pool), { everyJobOfThatId: true })).value
  }

  #containersOf(allocation: string): Promise<string[]> {
    return this.#containers.ids(`com.hashicorp.nomad.alloc_id=${allocation}`)
  }

  async #change(path: string, body: unknown, purpose: string): Promise<void> {
    await this.#client.request({ method: 'PUT', path, body, schema: z.unknown(), purpose })
  }

  /** One that another fault has ended meanwhile is left alone. */
  async #signal(id: string): Promise<void> {
    try {
      await this.#change(`/v1/client/allocation/${id}/signal`, { Signal: 'SIGKILL', Task: taskName }, `kill allocation ${id}`)
    } catch (error) {
      if (!(error as Error).message.endsWith('Task not running')) throw error
    }
  }

  async #stall({ id }: Container, extent: number): Promise<void> {
    const [container] = await this.#containersOf(id)
    if (container !== undefined) await this.#stopped.stall(await this.#containers.server(container), extent)
  }

  #drain(): ContainerFault {
    const nodeOf = async ({ id }: Container): Promise<string | undefined> => (await this.#list()).find((one) => one.ID === id)?.NodeID
    const on = async (node: string | undefined): Promise<AllocationStub[]> =>
      (await this.#list()).filter((one) => one.NodeID === node && !hasEnded(one))
    return {
      meetsAllWhoAsk: true,
      meets: async (container) => (await on(await nodeOf(container))).map((one) => one.ID),
      inject: async (container, extent) => {
        const node = await nodeOf(container)
        if (node === undefined) return
        this.#drained.add(node)
        // Without a deadline all is ended at once.
        const deadline = extent < 0.5 ? -1 : drainDeadlineMs * 1_000_000
        const spec = { Deadline: deadline, IgnoreSystemJobs: true }
        await this.#change(`/v1/node/${node}/drain`, { NodeID: node, DrainSpec: spec, MarkEligible: false }, `drain node ${node}`)
        for (const giveUpAt = Date.now() + drainPatienceMs; Date.now() < giveUpAt; await delay(lookPauseMs)) {
          if ((await on(node)).length === 0) break
        }
        await this.#makeEligible(node)
      },
    }
  }

  async #makeEligible(node: string): Promise<void> {
    const body = { NodeID: node, DrainSpec: null, MarkEligible: true }
    await this.#change(`/v1/node/${node}/drain`, body, `make node ${node} eligible again`)
    await this.#change(`/v1/node/${node}/eligibility`, { NodeID: node, Eligibility: 'eligible' }, `make node ${node} eligible again`)
    this.#drained.delete(node)
  }
}
