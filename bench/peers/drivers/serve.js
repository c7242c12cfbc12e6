import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)

/**
 * Answers the requests of driver.ts for a system that starts a process for each command. Times are taken here.
 *
 * @param start gives the child process of a command in a sandbox; its stdin is /dev/null, its outputs are pipes.
 * @param ended is called when a command is over, and belongs to what it costs.
 * @param close undoes what the system made.
 */
export function serve({ version, start, ended = () => {}, close = () => {} }) {
  const ops = {
    async run({ command, sandbox }) {
      const startedAt = performance.now()
      const child = await start(command, sandbox)
      const chunks = []
      child.stdout.on('data', (chunk) => chunks.push(chunk))
      const exitCode = await closed(child)
      const stdout = Buffer.concat(chunks).toString()
      ended()
      return { stdout, exitCode, elapsedMs: performance.now() - startedAt }
    },

    async stream({ command, hashed }) {
      const startedAt = performance.now()
      const child = await start(command, 0)
      const hash = hashed ? createHash('sha256') : undefined
      let bytes = 0
      child.stdout.on('data', (chunk) => {
        bytes += chunk.length
        hash?.update(chunk)
      })
      const exitCode = await closed(child)
      ended()
      return { bytes, exitCode, elapsedMs: performance.now() - startedAt, sha256: hash?.digest('hex') ?? null }
    },

    async batch({ command, count, concurrency, expected }) {
      const startedAt = performance.now()
      let left = count
      const work = async (sandbox) => {
        while (left > 0) {
          left--
          const { stdout, exitCode } = await ops.run({ command, sandbox })
          if (stdout !== expected || exitCode !== 0) throw new Error(`${command} gave ${JSON.stringify(stdout)} and exit code ${exitCode}`)
        }
      }
      await Promise.all(Array.from({ length: concurrency }, (_, sandbox) => work(sandbox)))
      return { elapsedMs: performance.now() - startedAt }
    },
  }

  say({ id: 0, version })
  createInterface(process.stdin)
    .on('line', async (line) => {
      const { id, op, ...request } = JSON.parse(line)
      try {
        say({ id, ...(await ops[op](request)) })
      } catch (error) {
        say({ id, error: error.message })
      }
    })
    .on('close', async () => {
      await close()
      process.exit(0)
    })
}

/** Says why there is nothing to serve, and ends. */
export function refuse(error) {
  say({ id: 0, error: error.message })
  process.exitCode = 1
}

/** Resolves with the exit code once both outputs are read to their end. */
function closed(child) {
  child.stderr.resume()
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
