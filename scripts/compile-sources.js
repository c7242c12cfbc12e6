// Makes .compiled/: all TypeScript of the project as Node runs it by itself, file by file. The tests run some hundred processes, each of which
// would take a second to have its modules compiled one after the other.
import { cpSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

export const compiledFolder = '.compiled'

/** Where the compiled form of a source is. */
export function compiledPath(source) {
  return join(compiledFolder, source.replace(/\.ts$/, '.js'))
}

const folders = ['lib', 'test', 'bench', 'chaos']

/** Every file is one of its own, as it is among the sources. */
const fileByFile = {
  name: 'file-by-file',
  setup: ({ onResolve }) => {
    onResolve({ filter: /./ }, ({ path, kind }) => {
      if (kind === 'entry-point') return undefined
      return { path: path.startsWith('.') ? path.replace(/\.ts$/, '.js') : path, external: true }
    })
  },
}

/** Compiles what is there now; the working directory is the project's. */
export async function compileSources() {
  rmSync(compiledFolder, { recursive: true, force: true })
  // With what is read beside the sources.
  for (const folder of folders) cpSync(folder, join(compiledFolder, folder), { recursive: true, filter: (path) => !path.endsWith('.ts') })
  const sources = folders.flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
  await build({
    entryPoints: sources.filter((path) => path.endsWith('.ts')),
    outdir: compiledFolder,
    outbase: '.',
    bundle: true,
    plugins: [fileByFile],
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'warning',
  })
}
