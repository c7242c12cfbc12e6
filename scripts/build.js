// Makes dist/: the library by tsc; the sandbox server as one program that needs no node_modules, the command line as one that does, and the few
// lines that start each (`start-program.ts` in `lib/sandbox/` and `lib/cli/`). What is there stays in use until the new one is whole.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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

/** yargs looks for what it says in other languages beside a file of its own. */
const yargsLocales = {
  name: 'yargs-locales',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/yargs\/lib\/platform-shims\/esm\.mjs$/ }, ({ path }) => {
      const itself = "createRequire(__filename).resolve('yargs/package.json').replace('package.json', 'lib/platform-shims/esm.mjs')"
      const contents = readFileSync(path, 'utf8').replace('fileURLToPath(import.meta.url)', itself)
      return { contents: contents.replace('createRequire(import.meta.url)', 'createRequire(__filename)') }
    })
  },
}

/** What a warm `slotpool exec` does not call: loaded when somebody asks for something of it. */
const late = {
  name: 'late',
  setup: ({ onResolve, onLoad }) => {
    const names =
      /^(node:(child_process|fs\/promises|module|stream\/consumers|timers\/promises)|fastest-levenshtein|proper-lockfile|tar-stream)$/
    onResolve({ filter: names }, ({ path, namespace }) => (namespace === 'late' ? undefined : { path, namespace: 'late' }))
    onLoad({ filter: names, namespace: 'late' }, async ({ path }) => {
      const members = Object.keys(await import(path)).filter((name) => name !== 'default' && name !== 'module.exports')
      const getters = members.map((name) => `get ${name}() { return require('${path}').${name} }`)
      return { contents: `module.exports = { ${getters.join(', ')} }`, resolveDir: process.cwd() }
    })
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
  await buildProgram('lib/sandbox/main.ts', 'sandbox-server.cjs', { ...common, minifyWhitespace: true })
  const here = { 'import.meta.dirname': '__dirname' }
  await build({ ...common, entryPoints: ['lib/cli/start-program.ts'], outfile: `${fresh}/start-cli.cjs`, format: 'cjs', define: here })
  await buildProgram('lib/cli/main.ts', 'cli.cjs', {
    ...common,
    external: ['axios', 'dockerode'],
    plugins: [late, yargsLocales],
    // The same clock, without all else that Node loads for `performance`.
    define: { 'performance.now': '__nowMs' },
    banner: { js: 'const __nowMs = () => process.uptime() * 1000;' },
    alias: { undici: './lib/client/plain-http.ts', zod: './lib/cli/quick-zod.ts' },
  })
  writeCodeCache('local servers', `${fresh}/sandbox-server.js`, '--write-code-cache')
  const without = compileSeccompFilter(fresh)
  if (without !== undefined) console.error(`built without a seccomp filter for local slots: ${without}`)
  if (existsSync('dist')) renameSync('dist', old)
  renameSync(fresh, 'dist')
  // It starts a server, as it is found in dist/.
  writeCodeCache('the command line', 'scripts/cli-code-cache.js')
} finally {
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true })
}

/** Makes one file of a program, for `lib/program-file.ts` to load. */
async function buildProgram(entryPoint, name, options) {
  const outfile = `${fresh}/${name}`
  await build({
    ...options,
    entryPoints: [entryPoint],
    outfile,
    // A form that V8 can be given together with what it made of it before.
    format: 'cjs',
    // Names of functions and classes stay, so that they need not be set one by one when it starts.
    minifySyntax: true,
    define: { SLOTPOOL_VERSION: JSON.stringify(version), 'import.meta.url': '__moduleUrl', ...options.define },
    banner: { js: `const __moduleUrl = require('node:url').pathToFileURL(__filename).href;${options.banner?.js ?? ''}` },
    plugins: [oneLanguage, ...(options.plugins ?? [])],
  })
  const program = readFileSync(outfile)
  writeFileSync(outfile, `// ${createHash('sha256').update(program).digest('hex')}\n${program}`)
}

/** Where a server can run; without it, local servers and the command line start slower, by about a tenth of a second. */
function writeCodeCache(what, ...args) {
  if (process.platform !== 'linux') return
  try {
    execFileSync(process.execPath, args, { stdio: 'pipe', timeout: 120_000 })
  } catch (error) {
    console.error(`built without a code cache for ${what}: ${String(error.stderr ?? '').trim() || error.message}`)
  }
}
