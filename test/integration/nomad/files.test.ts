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
const reference = join(folder, 'sandbox.nomad.hcl')

async function nomad(...args: string[]): Promise<string> {
  // These commands ask an agent when they find one; what they say must not depend on that.
  const env = { PATH: process.env.PATH, NOMAD_ADDR: await deadAddress() }
  return (await promisify(execFile)('nomad', args, { env })).stdout
}

t.test('the reference job and the agent’s configuration', { skip: await nomadSkip() }, async (t) => {
  t.equal(await nomad('fmt', '-check', folder), '', 'are formatted')
  t.match(await nomad('job', 'validate', reference), /Job validation successful/)
})

t.test('the reference job is the one slotpool registers for the default pool', { skip: await nomadSkip() }, async (t) => {
  const { Job: written } = JSON.parse(await nomad('job', 'run', '-output', reference))
  const version = written.TaskGroups[0].Meta.slotpool_version
  t.match(written, poolJobSpec({ ...poolJobOf(loadConfig({}, {})), version, count: 1 }))
})
