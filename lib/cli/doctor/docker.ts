import { DockerEngine } from '../../backend/docker/engine.ts'
import { mendCommand } from '../../backend/docker/mend-command.ts'
import { SlotpoolError } from '../../errors.ts'
import type { Check } from './check.ts'
import { dockerMend } from './docker-mend.ts'
import { errorCode } from './error-code.ts'
import type { Machine } from './machine.ts'

const name = 'docker'

/** Whether a Docker engine answers where `DOCKER_HOST` or the current context says, its version and where it stores containers. */
export async function checkDocker(machine: Machine, signal: AbortSignal): Promise<Check> {
  let engine: DockerEngine
  try {
    engine = new DockerEngine(machine.env)
  } catch (error) {
    const detail = SlotpoolError.from(error).message
    return { name, found: false, version: null, detail, mend: 'unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH' }
  }
  try {
    const { version, apiVersion, address } = await engine.version(signal)
    const detail = `answers at ${address}, API ${apiVersion}, storage ${await storageDriver(engine, signal)}`
    if (engine.isLocal) return { name, found: true, version, detail, mend: null }
    const elsewhere = 'it is not on this machine, so TERMINAL_ENV=docker cannot use it'
    return { name, found: true, version, detail: `${detail}; ${elsewhere}`, mend: mendCommand(engine.address, undefined) }
  } catch (error) {
    if (signal.aborted) throw error
    const { message } = SlotpoolError.from(error)
    // The message ends with a command of its own, chosen without looking at the distribution.
    const detail = message.replace(/\. To mend it: .*$/s, '')
    return { name, found: false, version: null, detail, mend: dockerMend(engine.address, errorCode(error), machine) }
  } finally {
    engine.close()
  }
}

async function storageDriver(engine: DockerEngine, signal: AbortSignal): Promise<string> {
  // The types of dockerode leave out the options that it takes here.
  const ask = engine.docker.info.bind(engine.docker) as (options: { abortSignal: AbortSignal }) => Promise<{ Driver: string }>
  return (await engine.call('tell how it stores containers', ask({ abortSignal: signal }))).Driver
}
