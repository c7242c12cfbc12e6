import { rmSync } from 'node:fs'
import { normalize } from 'node:path/posix'
import type { EntryReport } from './entry.ts'
import type { Fifos, NamedPipe } from './fifos.ts'
import type { ForkServer } from './jail/fork-server.ts'
import type { Launch, Launched } from './launch.ts'

/** Has a command forked by the process that stands at the door of its slot. */
export async function launchForked(server: ForkServer, fifos: Fifos, launch: Launch): Promise<Launched> {
  const { command, cwd, env, terms, isWanted } = launch
  const pipes: NamedPipe[] = []
  try {
    pipes.push(await fifos.openNamed())
    if (!launch.mergeStderr) pipes.push(await fifos.openNamed())
    isWanted()
  } catch (error) {
    letGo(pipes)
    throw error
  }
  const [out, err] = pipes as [NamedPipe, NamedPipe?]
  // As a shell goes there: `..` takes back a part of the path, not of what a link in it leads to.
  const place = normalize(cwd).replace(/(?<=.)\/$/, '')
  const forked = server.fork({
    command,
    cwd: place,
    env: { ...env, PWD: place },
    terms,
    stdoutPath: out.path,
    ...(err ? { stderrPath: err.path } : {}),
  })
  const end = forked.ended.then((one) => {
    // One that was killed on its way left them their names.
    if (one.unstarted !== '' || one.signal !== null) for (const { path } of pipes) rmSync(path, { force: true })
    return one
  })
  return {
    leader: await forked.begun,
    outputs: pipes.map(({ reader }) => reader),
    ended: end,
    report: async () => reportOf((await end).unstarted),
    close: () => {},
  }
}

function letGo(pipes: readonly NamedPipe[]): void {
  for (const { reader, path } of pipes) {
    reader.destroy()
    rmSync(path, { force: true })
  }
}

function reportOf(unstarted: string): EntryReport {
  if (unstarted === '') return { started: true }
  if (unstarted === 'too-long') return { started: false, tooLong: true }
  const [, noCwd] = /^no-cwd (.*)/.exec(unstarted) ?? []
  if (noCwd !== undefined) return { started: false, noCwd: noCwd.trim() }
  return { started: false, reason: unstarted.replace(/^failed /, '').trim() }
}
