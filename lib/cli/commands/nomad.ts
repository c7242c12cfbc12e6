import type { CommandModule } from 'yargs'
import { findDevAgent, startDevAgent, stopDevAgent } from '../../backend/nomad/dev-agent.ts'
import { poolJobOf } from '../../backend/nomad/pool-job.ts'
import { nomadAnswers } from '../../backend/nomad/reachable.ts'
import { loadConfig } from '../../config.ts'
import { NomadClient } from '../../nomad/client.ts'
import { jobHcl } from '../../nomad/job-hcl.ts'
import { type PoolJob, poolJobId, poolJobSpec } from '../../nomad/job-spec.ts'
import { type Job, readJob } from '../../nomad/jobs.ts'
import { planJob } from '../../nomad/plan.ts'
import { poolGroups } from '../../nomad/pool-groups.ts'
import { runCli } from '../context.ts'
import { notice, writeStdout } from '../output.ts'
import { poolOptionsOf, withStartOptions } from '../pool-options.ts'
import { renderPlan } from '../render-plan.ts'

const startCommand: CommandModule = {
  command: 'start',
  describe: 'start `nomad agent -dev` at TERMINAL_NOMAD_ADDRESS, unless one answers there',
  handler: () =>
    runCli(false, async ({ signal }) => {
      const { nomad } = loadConfig({})
      const { address, started, logFile } = await startDevAgent(nomad, nomad.driver, { signal })
      notice(started ? `slotpool: started a Nomad agent; its log is ${logFile}` : 'slotpool: a Nomad agent answers already')
      await writeStdout(`${address}\n`)
      return 0
    }),
}

const stopCommand: CommandModule = {
  command: 'stop',
  describe: 'end the agent that slotpool started, with all that runs on it',
  handler: () =>
    runCli(false, async ({ signal }) => {
      const { stopped, address } = await stopDevAgent({ signal })
      if (stopped) {
        notice(`slotpool: stopped the Nomad agent at ${address}`)
        return 0
      }
      const { nomad } = loadConfig({})
      const other = (await nomadAnswers(nomad, signal)) ? `; the one at ${nomad.address} was started by somebody else, and goes on` : ''
      notice(`slotpool: no Nomad agent runs that slotpool started${other}`)
      return 0
    }),
}

const statusCommand: CommandModule<object, { json: boolean }> = {
  command: 'status',
  describe: 'say whether an agent answers, and who started it',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'print JSON' }),
  handler: ({ json }) =>
    runCli(json, async ({ signal }) => {
      const { nomad } = loadConfig({})
      const own = findDevAgent()
      const answers = await nomadAnswers(nomad, signal)
      const { address } = nomad
      const agent = own && { address: own.address, pid: own.pid, startedAt: own.startedAt, logFile: own.logFile }
      if (json) await writeStdout(`${JSON.stringify({ address, answers, agent: agent ?? null })}\n`)
      else {
        const started = agent ? `process ${agent.pid} at ${agent.address} since ${agent.startedAt}, log ${agent.logFile}` : 'none'
        await writeStdout(`address  ${address}: ${answers ? 'an agent answers' : 'no agent answers'}\nstarted by slotpool  ${started}\n`)
      }
      return answers ? 0 : 1
    }),
}

/** The job with its newest group as `job` has it, and as many containers as there are: what is scaled is no change of the job. */
function plannedSpec(current: Job | null, job: Omit<PoolJob, 'count'>, min: number): ReturnType<typeof poolJobSpec> {
  const [newest, ...earlier] = poolGroups(current)
  const spec = poolJobSpec({ ...job, generation: newest?.generation ?? 0, count: newest && newest.count > 0 ? newest.count : min })
  const kept = (current?.TaskGroups ?? []).filter(({ Name }) => earlier.some(({ name }) => name === Name))
  return { ...spec, TaskGroups: [...kept, ...(spec.TaskGroups as unknown[])] }
}

/** What `slotpool nomad plan` can print instead. */
const dumpForms = ['json', 'hcl'] as const

const planCommand: CommandModule<object, { dump?: (typeof dumpForms)[number] | undefined }> = {
  command: 'plan',
  describe: 'show what registering the job of the pool would change, and change nothing',
  builder: (yargs) =>
    withStartOptions(yargs).option('dump', {
      choices: dumpForms,
      requiresArg: true,
      describe: 'print the job itself instead, as `nomad job run` takes it (with -json: json); asks no agent',
    }),
  handler: (args) =>
    runCli(false, async ({ signal }) => {
      const config = loadConfig(poolOptionsOf(args))
      const job = poolJobOf(config)
      if (args.dump) {
        const spec = poolJobSpec({ ...job, count: config.min })
        await writeStdout(args.dump === 'hcl' ? jobHcl(spec) : `${JSON.stringify({ Job: spec }, null, 2)}\n`)
        return 0
      }
      const client = new NomadClient(config.nomad)
      try {
        await writeStdout(
          renderPlan(await planJob(client, plannedSpec(await readJob(client, poolJobId(config.pool), signal), job, config.min), signal)),
        )
        return 0
      } finally {
        client.close()
      }
    }),
}

/** `slotpool nomad`: an agent for this machine alone, and the job of a pool. */
export const nomadCommand: CommandModule = {
  command: 'nomad',
  describe: 'a Nomad agent on this machine, for trying things out; what a pool is to Nomad',
  builder: (yargs) =>
    yargs
      .command(startCommand)
      .command(stopCommand)
      .command(statusCommand)
      .command(planCommand)
      .demandCommand(1, 1, 'expected a nomad COMMAND'),
  handler: () => {},
}
