// Makes dist/: the library and the CLI by tsc, the sandbox server as one program that needs no node_modules, and the few lines that start it
// (`lib/sandbox/start-program.ts`). What is there stays in use until the new one is whole.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compileSeccompFilter } from './seccomp-filter.js'

/** zod brings its messages in fifty languages, a third of the program, and speaks English unless told otherwise. */
const oneLanguage = {
  name: 'one-language',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "export { default as en } from './en.js'" }))
  },
}

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
const fresh = `dist.new-${process.pid}`
const old = `dist.old-${process.pid}`

try {
  execFileSync('node_modules/.bin/tsc', ['--outDir', fresh], { stdio: 'inherit' })
  const common = { bundle: true, platform: 'node', target: 'node20', legalComments: 'none', logLevel: 'warning' }
  await build({ ...common, entryPoints: ['lib/sandbox/start-program.ts'], outfile: `${fresh}/sandbox-server.js`, format: 'esm' })
  await build({
    ...common,
    entryPoints: ['lib/sandbox/main.ts'],
    outfile: `${fresh}/sandbox-server.cjs`,
    // A form that V8 can be given together with what it made of it before.
    format: 'cjs',
    // Names of functions and classes stay, so that they need not be set one by one when it starts.
    minifyWhitespace: true,
    minifySyntax: true,
    define: { SLOTPOOL_VERSION: JSON.stringify(version), 'import.meta.url': '__moduleUrl' },
    banner: { js: "const __moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
    plugins: [oneLanguage],
  })
  writeCodeCache()
  const without = compileSeccompFilter(fresh)
  if (without !== undefined) console.error(`built without a seccomp filter for local slots: ${without}`)
  if (existsSync('dist')) renameSync('dist', old)
  renameSync(fresh, 'dist')
} finally {
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true })
}

/** Where a server can run; without it, servers of local pools start slower, by about a tenth of a second. */
function writeCodeCache() {
  if (process.platform !== 'linux') return
  try {
    execFileSync(process.execPath, [`${fresh}/sandbox-server.js`, '--write-code-cache'], { stdio: 'pipe', timeout: 30_000 })
  } catch (error) {
    console.error(`built without a code cache for local servers: ${String(error.stderr ?? '').trim() || error.message}`)
  }
}
