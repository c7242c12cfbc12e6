import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import Docker from 'dockerode'
import type { Backend } from '../../lib/backend/backend.ts'
import { serverPort } from '../../lib/backend/docker/container-spec.ts'
import type { Beside } from './beside.ts'

/** The inside of a Docker container that serves slots, whoever started it. `stateDir` is where the server keeps its slots there. */
export async function besideInContainer(id: string, backend: Backend, port: number | undefined = serverPort): Promise<Beside> {
  const container = new Docker().getContainer(id)
  const run = async (script: string): Promise<string> => {
    const exec = await container.exec({ Cmd: ['bash', '-c', script], AttachStdout: true, AttachStderr: true, User: '0:0' })
    const stream = await exec.start({ hijack: true, stdin: false })
    const [out, err] = [new PassThrough(), new PassThrough()]
    container.modem.demuxStream(stream, out, err)
    stream.once('end', () => {
      out.end()
      err.end()
    })
    const [stdout, stderr] = await Promise.all([buffer(out), buffer(err)])
    const { ExitCode: code } = await exec.inspect()
    if (code !== 0)
      throw new Error(
        `exit ${code} in the container: ${script.slice(0, 300)}\nstdout: ${stdout.toString().slice(-1000)}\nstderr: ${stderr}`,
      )
    return stdout.toString()
  }
  const pid = Number((await run(`pgrep -f -o '^[^ ]*node .*[s]andbox-server'`)).trim())
  const stateDir = (await run(`tr '\\0' '\\n' < /proc/${pid}/cmdline | grep -A 1 -x -e --state-dir | tail -n 1`)).trim()
  const [served] = await backend.list()
  if (!served?.endpoint) throw new Error('the pool has no container that serves')
  return {
    run,
    server: { pid, stateDir, token: await backend.token(), endpoint: served.endpoint, ...(port === undefined ? {} : { port }) },
  }
}
