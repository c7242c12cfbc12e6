import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

/**
 * What Node runs for a sandbox server: it loads the program beside it, with what V8 made of that program before, where that is there. To
 * read a program of this size anew takes as long as it takes Node itself to start.
 *
 * With the argument `--write-code-cache` it serves once, in a folder of its own, and writes that down.
 */
const programFile = fileURLToPath(new URL('sandbox-server.cjs', import.meta.url))
const cacheFile = fileURLToPath(new URL('sandbox-server.cache', import.meta.url))

/** The program's own exports: see `main.ts`. */
interface Program {
  serve(args: readonly string[]): Promise<void>
}

const source = readFileSync(programFile)
/** V8 itself looks at the length of a program alone. */
const digest = createHash('sha256').update(source).digest()
const cachedData = readCache()
const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source.toString('latin1')}\n})`, {
  // Without its folder, which is kept with the rest and may be another by then.
  filename: basename(programFile),
  ...(cachedData === undefined ? {} : { cachedData }),
})
const program: { exports: Partial<Program> } = { exports: {} }
script.runInThisContext()(program.exports, createRequire(programFile), program, programFile, dirname(programFile))
const { serve } = program.exports as Program

const args = process.argv.slice(2)
if (args[0] === '--write-code-cache') await writeCache()
else await serve(args)

function readCache(): Buffer | undefined {
  try {
    const found = readFileSync(cacheFile)
    return found.subarray(0, digest.length).equals(digest) ? found.subarray(digest.length) : undefined
  } catch {
    // It is faster with it, and the same without.
    return undefined
  }
}

/** After it has served, since V8 knows only functions that have been called. */
async function writeCache(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'slotpool-code-cache-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'none', { mode: 0o600 })
  await serve([
    ...['--listen', `unix:${join(folder, 'socket')}`, '--token-file', tokenFile, '--state-dir', join(folder, 'state')],
    ...['--pool', 'code-cache', '--slots', '1', '--isolation', 'none', '--network', 'host'],
  ])
  // In one step, since a server may be starting.
  const fresh = `${cacheFile}.${process.pid}`
  writeFileSync(fresh, Buffer.concat([digest, script.createCachedData()]))
  renameSync(fresh, cacheFile)
  process.kill(process.pid, 'SIGTERM')
}
