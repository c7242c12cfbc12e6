import type { EntryReport } from './entry.ts'
import { executionVariable } from './environment.ts'
import type { ForkServer } from './jail/fork-server.ts'
import type { Forked } from './jail/forked.ts'
import type { Launch, Launched } from './launch.ts'
import type { ReadyShell } from './ready-shells.ts'
import type { NamedPipe, SlotPipes } from './slot-pipes.ts'

/** Has a command forked by the process that stands at the door of its slot. */
export async function launchForked(server: ForkServer, slotPipes: SlotPipes, launch: Launch): Promise<Launched> {
  const { command, cwd, env, terms, isWanted } = launch
  const pipes: NamedPipe[] = []
  try {
    pipes.push(await slotPipes.take())
    if (!launch.mergeStderr) pipes.push(await slotPipes.take())
    isWanted()
  } catch (error) {
    for (const { pipe } of pipes) pipe.close()
    throw error
  }
  const [out, err] = pipes as [NamedPipe, NamedPipe?]
  const forked = server.fork(command, { cwd, env, terms, stdoutPath: out.path, ...(err ? { stderrPath: err.path } : {}) })
  await forked.begun
  return launched(forked, pipes)
}

/** Hands a command to a shell that waits for it in its slot. */
export async function launchReady({ shell, pipes }: ReadyShell, { command, env, isWanted }: Launch): Promise<Launched> {
  isWanted()
  shell.run(`${executionVariable}=${env[executionVariable]}`, command)
  // It normally has. Before that its pipes have no writer, which whoever reads one that had another would take for its end.
  await shell.begun
  return launched(shell, pipes)
}

function launched(forked: Forked, pipes: readonly NamedPipe[]): Launched {
  return {
    get leader() {
      return forked.pid
    },
    outputs: pipes.map(({ pipe }) => pipe),
    ended: forked.ended,
    report: forked.ended.then(({ unstarted }) => reportOf(unstarted)),
  }
}

function reportOf(unstarted: string): EntryReport {
  if (unstarted === '') return { started: true }
  if (unstarted === 'too-long') return { started: false, tooLong: true }
  const [, noCwd] = /^no-cwd (.*)/.exec(unstarted) ?? []
  if (noCwd !== undefined) return { started: false, noCwd: noCwd.trim() }
  return { started: false, reason: unstarted.replace(/^failed /, '').trim() }
}
