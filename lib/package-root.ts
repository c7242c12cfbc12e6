import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of slotpool's own `package.json`: the same from the sources as from `dist/`. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/** Of slotpool itself. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version
}

/** The sandbox server, without `node_modules`, as Node starts it: what a local process runs and an image holds. */
export function sandboxServerBundle(): string {
  return join(packageRoot(), 'dist', 'sandbox-server.js')
}

/** The program that {@link sandboxServerBundle} loads. It lies beside it, wherever that is. */
export function sandboxServerProgram(): string {
  return join(packageRoot(), 'dist', 'sandbox-server.cjs')
}
