// Makes dist/: the library and the CLI by tsc, the sandbox server as one file that needs no node_modules. What is there stays in use until
// the new one is whole.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compileSeccompFilter } from './seccomp-filter.js'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
const fresh = `dist.new-${process.pid}`
const old = `dist.old-${process.pid}`

try {
  execFileSync('node_modules/.bin/tsc', ['--outDir', fresh], { stdio: 'inherit' })
  await build({
    entryPoints: ['lib/sandbox/main.ts'],
    outfile: `${fresh}/sandbox-server.js`,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    define: { SLOTPOOL_VERSION: JSON.stringify(version) },
    // Dependencies in CommonJS call require() for Node's own modules.
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
    logLevel: 'warning',
  })
  const without = compileSeccompFilter(fresh)
  if (without !== undefined) console.error(`built without a seccomp filter for local slots: ${without}`)
  if (existsSync('dist')) renameSync('dist', old)
  renameSync(fresh, 'dist')
} finally {
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true })
}
