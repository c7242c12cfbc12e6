// Runs test files, each in a process of its own. A test file of tap is a program that prints TAP, so it is run as one: tap's own runner has every Node.js
// that a test starts load a hook that notes its modules, about a second of processor time each.
import { spawn } from 'node:child_process'
import { Parser } from 'tap-parser'

/** More than there are processors: some wait for a container or an agent. */
const jobs = 4
/** Of one test, in seconds, unless it says otherwise. */
const testTimeoutSeconds = 300
/** Who does not even end by its own timer is ended after this. */
const fileTimeoutMs = 900_000

/**
 * Runs all of them, each of which has a name and a path. `onEnd` hears of each how long it took, and what was wrong with it beside the assertions that
 * failed: null where nothing was.
 */
export async function runTestFiles(files, { results, onEnd }) {
  const left = [...files]
  const runNext = async () => {
    for (let file = left.shift(); file !== undefined; file = left.shift()) {
      const began = performance.now()
      const parser = new Parser()
      results.count(parser, [file.name])
      const wrong = await run(file.path, parser)
      onEnd({ name: file.name, wrong, seconds: (performance.now() - began) / 1000 })
    }
  }
  await Promise.all(Array.from({ length: jobs }, runNext))
}

async function run(path, parser) {
  const env = { ...process.env, TAP: '1', TAP_CWD: process.cwd(), TAP_TIMEOUT: String(testTimeoutSeconds) }
  const child = spawn(process.execPath, ['--enable-source-maps', path], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const timer = setTimeout(() => child.kill('SIGKILL'), fileTimeoutMs)
  const complete = new Promise((resolve) => parser.once('complete', resolve))
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(code === 0 ? null : `it ended with ${signal ?? code}`))
  })
  child.stdout.pipe(parser)
  const badEnd = await ended
  clearTimeout(timer)
  const { failures, bailout, count } = await complete
  if (bailout) return `it gave up: ${bailout}`
  const unsound = failures.map(({ tapError }) => tapError).filter((error) => error)
  if (unsound.length > 0) return [badEnd, ...unsound].filter((one) => one !== null).join(', ')
  if (count === 0) return badEnd ?? 'it has no test'
  return failures.length > 0 ? null : badEnd
}
