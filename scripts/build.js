// Makes dist/: the library and the CLI by tsc, the sandbox server as one file that needs no node_modules.
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { build } from 'esbuild'

process.chdir(new URL('..', import.meta.url).pathname)
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))

rmSync('dist', { recursive: true, force: true })
execFileSync('node_modules/.bin/tsc', [], { stdio: 'inherit' })
await build({
  entryPoints: ['lib/sandbox/main.ts'],
  outfile: 'dist/sandbox-server.js',
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
