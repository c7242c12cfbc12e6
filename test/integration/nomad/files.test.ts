import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { poolJobOf } from '../../../lib/backend/nomad/pool-job.ts'
import { loadConfig } from '../../../lib/config.ts'
import { poolJobSpec } from '../../../lib/nomad/job-spec.ts'
import { packageRoot } from '../../../lib/package-root.ts'
import { deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadSkip } from '../../fixtures/require-service.ts'

const folder = join(packageRoot(), 'nomad')
const references = { docker: join(folder, 'sandbox.nomad.hcl'), singularity: join(folder, 'sandbox-singularity.nomad.hcl') }
/** The image of the reference job of driver singularity. */
const sif = '/opt/slotpool/sandbox-0.1.sif'

async function nomad(...args: string[]): Promise<string> {
  // These commands ask an agent when they find one; what they say must not depend on that.
  const env = { PATH: process.env.PATH, NOMAD_ADDR: await deadAddress() }
  return (await promisify(execFile)('nomad', args, { env })).stdout
}

t.test('the reference jobs and the agent’s configuration', { skip: await nomadSkip() }, async (t) => {
  t.equal(await nomad('fmt', '-check', folder), '', 'are formatted')
  for (const reference of Object.values(references)) t.match(await nomad('job', 'validate', reference), /Job validation successful/)
})

t.test('each reference job is the one slotpool registers for the default pool', { skip: await nomadSkip() }, async (t) => {
  for (const driver of ['docker', 'singularity'] as const) {
    const { Job: written } = JSON.parse(await nomad('job', 'run', '-output', references[driver]))
    const version = written.TaskGroups[0].Meta.slotpool_version
    const config = loadConfig({ env: 'nomad', nomad: { driver }, ...(driver === 'singularity' && { image: sif }) }, {})
    t.match(written, poolJobSpec({ ...poolJobOf(config), version, count: 1 }))
  }
})
