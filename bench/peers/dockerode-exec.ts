import { createHash } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { connectDocker, startSandboxes } from './docker-sandboxes.ts'
import type { PeerKind } from './peer.ts'

/** The engine's API without a process for each command. */
export const dockerodeExec: PeerKind = {
  name: 'dockerode exec',
  isolation: 'container',
  streams: true,
  async open(bench, scope, sandboxes) {
    const peer = await connectDocker(bench, scope)
    const ids = await startSandboxes(peer, bench, sandboxes)
    const execute = async (command: string, id: string, onChunk: (chunk: Buffer) => void): Promise<number | null> => {
      const container = peer.docker.getContainer(id)
      const exec = await container.exec({ Cmd: ['/bin/bash', '-c', command], AttachStdout: true, AttachStderr: true })
      const stream = await exec.start({})
      const stdout = new PassThrough().on('data', onChunk)
      peer.docker.modem.demuxStream(stream, stdout, new PassThrough().resume())
      await new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject))
      // Nobody else ends it, and what it holds has not all been handed on.
      await new Promise<void>((resolve) => stdout.end(resolve))
      return (await exec.inspect()).ExitCode
    }
    return {
      version: peer.version,
      async run(command, sandbox = 0) {
        const chunks: Buffer[] = []
        const exitCode = await execute(command, ids[sandbox] as string, (chunk) => chunks.push(chunk))
        return { stdout: Buffer.concat(chunks).toString(), exitCode }
      },
      async stream(command, hashed) {
        const startedAt = performance.now()
        const hash = hashed ? createHash('sha256') : undefined
        let bytes = 0
        const exitCode = await execute(command, ids[0] as string, (chunk) => {
          bytes += chunk.length
          hash?.update(chunk)
        })
        return { bytes, exitCode, elapsedMs: performance.now() - startedAt, sha256: hash?.digest('hex') ?? null }
      },
    }
  },
}
