// Writes V8's code cache of the command line (`lib/program-file.ts`), when it has run a command in a local pool of its own: V8 knows only
// functions that have been called, and those of `slotpool exec` are the ones that somebody waits for.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadProgram } from '../dist/lib/program-file.js'

const inPackage = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const slotpool = (...args) => execFileSync(process.execPath, [inPackage('bin/slotpool.js'), ...args], { stdio: 'pipe', timeout: 60_000 })

const folder = mkdtempSync(join(tmpdir(), 'slotpool-code-cache-'))
for (const name of Object.keys(process.env)) if (/^(TERMINAL|NOMAD)_/.test(name)) delete process.env[name]
Object.assign(process.env, { XDG_STATE_HOME: folder, TERMINAL_ENV: 'local', TERMINAL_ISOLATION: 'none', TERMINAL_NETWORK: 'host' })
try {
  slotpool('up', '--slots', '1')
  const { exports, writeCodeCache } = loadProgram(inPackage('dist/cli.cjs'), createRequire(inPackage('dist/cli.cjs')))
  // The second finds its lease, as most do.
  for (let run = 0; run < 2; run++) await exports.main(['exec', '--task-id', 'code-cache', 'true'])
  if (process.exitCode === 0) writeCodeCache()
} finally {
  try {
    slotpool('down')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
