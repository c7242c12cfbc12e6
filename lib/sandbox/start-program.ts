import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadProgram } from '../program-file.ts'

/**
 * What Node runs for a sandbox server: it loads the program beside it.
 *
 * With the argument `--write-code-cache` it serves once, in a folder of its own, and writes down what V8 made of the program.
 */
const program = fileURLToPath(new URL('sandbox-server.cjs', import.meta.url))
const { exports, writeCodeCache } = loadProgram<typeof import('./main.ts')>(program, createRequire(program))

const args = process.argv.slice(2)
if (args[0] === '--write-code-cache') await writeCache()
else await exports.serve(args)

async function writeCache(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'slotpool-code-cache-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const tokenFile = join(folder, 'token')
  writeFileSync(tokenFile, 'none', { mode: 0o600 })
  await exports.serve([
    ...['--listen', `unix:${join(folder, 'socket')}`, '--token-file', tokenFile, '--state-dir', join(folder, 'state')],
    ...['--pool', 'code-cache', '--slots', '1', '--isolation', 'none', '--network', 'host'],
  ])
  writeCodeCache()
  process.kill(process.pid, 'SIGTERM')
}
