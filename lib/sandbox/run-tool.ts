import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { toolPath } from './tool-path.ts'

/** None of what is run so takes longer than a second; a lock that somebody holds may. */
const timeoutMs = 20_000

/** Runs a program of the system to its end and resolves with what it printed. @throws {Error} with what it complained of. */
export async function runTool(program: readonly string[], input = ''): Promise<string> {
  const [file = '', ...args] = program
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: toolPath, LANG: 'C.UTF-8' }, cwd: '/' })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  // One that ends before it has read everything is judged by how it ended.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  try {
    const [stdout, stderr, [exitCode, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) =>
        child.once('error', reject).once('close', (code, killedBy) => resolve([code, killedBy])),
      ),
    ])
    if (exitCode === 0) return stdout
    const complaint = stderr.trim().replace(/\s*\n\s*/g, '; ')
    throw new Error(`${file}: ${complaint || (signal === null ? `exit code ${exitCode}` : `ended by ${signal}`)}`)
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new Error(`${file} is not installed`, { cause: error }) : error
  } finally {
    clearTimeout(timer)
  }
}
