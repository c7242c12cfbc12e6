import type { EntryReport } from './entry.ts'
import type { NamedPipe } from './fifos.ts'
import type { ForkServer } from './jail/fork-server.ts'
import type { Launch, Launched } from './launch.ts'
import type { SlotPipes } from './slot-pipes.ts'

/** Has a command forked by the process that stands at the door of its slot. */
export async function launchForked(server: ForkServer, slotPipes: SlotPipes, launch: Launch): Promise<Launched> {
  const { command, cwd, env, terms, isWanted } = launch
  const pipes: NamedPipe[] = []
  try {
    pipes.push(await slotPipes.take())
    if (!launch.mergeStderr) pipes.push(await slotPipes.take())
    isWanted()
  } catch (error) {
    for (const { reader } of pipes) reader.destroy()
    throw error
  }
  const [out, err] = pipes as [NamedPipe, NamedPipe?]
  const forked = server.fork({ command, cwd, env, terms, stdoutPath: out.path, ...(err ? { stderrPath: err.path } : {}) })
  return {
    leader: await forked.begun,
    outputs: pipes.map(({ reader }) => reader),
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
