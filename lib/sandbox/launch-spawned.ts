import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { drainPipe } from './drain.ts'
import { entryEnvironment, entryProgram, handedEnvironment, readReport } from './entry.ts'
import type { Fifos, PipeEnds } from './fifos.ts'
import type { Jail } from './jail/jail.ts'
import type { Launch, Launched } from './launch.ts'
import { OutputPipe } from './output-pipe.ts'
import { toolPath } from './tool-path.ts'

/** Longer than the longest path, and what bash says of it. */
const maxReportLength = 16 * 1024

/** Starts the programs that bring a command into its slot. */
export async function launchSpawned(jail: Pick<Jail, 'enter'>, fifos: Fifos, launch: Launch): Promise<Launched> {
  const { executionId, command, cwd, env, terms, isWanted } = launch
  const pipes: PipeEnds[] = [await fifos.open()]
  let child: ChildProcess
  try {
    if (!launch.mergeStderr) pipes.push(await fifos.open())
    const [out, err = out] = pipes as [PipeEnds, PipeEnds?]
    const { file, args } = jail.enter(entryEnvironment(executionId), entryProgram(cwd, command), { ...terms, startsAnywhere: true })
    isWanted()
    child = spawn(file, args, {
      stdio: ['ignore', out.writeFd, err.writeFd, 'pipe'],
      env: { PATH: toolPath },
      // A session of its own: no terminal to ask questions on, and a mark to end it by.
      detached: true,
    })
    await once(child, 'spawn')
  } catch (error) {
    for (const { readFd } of pipes) closeSync(readFd)
    throw error
  } finally {
    for (const { writeFd } of pipes) closeSync(writeFd)
  }
  const entry = child.stdio[3] as Socket
  const said = listenToEntry(entry, env)
  const ended = (once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>).then(([exitCode, signal]) => ({
    exitCode,
    signal,
  }))
  return {
    leader: child.pid as number,
    outputs: pipes.map(({ readFd }) => unlinkedPipe(readFd)),
    ended,
    report: ended.then(said).then(readReport),
  }
}

/** It has no name any more by which it could serve again. */
function unlinkedPipe(readFd: number): OutputPipe {
  return new OutputPipe(readFd, (end) => {
    if (end.ended && end.fd !== undefined) closeSync(end.fd)
  })
}

/**
 * Hands the environment to the entry and takes in what it says; the result is called once it has ended, and gives all that was said by
 * then. The end of the stream is not waited for: whoever took hold of the descriptor could keep it open for ever.
 */
function listenToEntry(socket: Socket, env: Readonly<Record<string, string>>): () => Promise<string> {
  let said = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    // No more than a reason is ever said.
    if (said.length < maxReportLength) said += chunk
  })
  // An entry that ended before it read its environment says so by its end.
  socket.on('error', () => {})
  socket.end(handedEnvironment(env))
  return async () => {
    await drainPipe(socket)
    socket.destroy()
    return said
  }
}
