import { mkdtemp, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Driver } from './driver.ts'
import { MissingPeer, type PeerKind } from './peer.ts'

const packageName = '@anthropic-ai/sandbox-runtime'
const driver = fileURLToPath(new URL('drivers/sandbox-runtime.js', import.meta.url))

/** Anthropic's sandbox-runtime, from the node_modules of the folder that `BENCH_PEERS` names. */
export const sandboxRuntime: PeerKind = {
  name: 'sandbox-runtime',
  isolation: 'bubblewrap per command, proxy',
  streams: true,
  async open(bench, scope) {
    const { module, version } = await find(process.env.BENCH_PEERS)
    const workspace = await mkdtemp(join(bench.folder, 'sandbox-runtime-'))
    try {
      return await Driver.start(scope, process.execPath, [driver, pathToFileURL(module).href, version, workspace])
    } catch (error) {
      throw new MissingPeer(`${packageName} ${version} does not run here: ${(error as Error).message}`)
    }
  },
}

async function find(folder: string | undefined): Promise<{ module: string; version: string }> {
  const advice = `\`npm install ${packageName}\` in a folder outside of this project, and BENCH_PEERS set to it`
  if (folder === undefined) throw new MissingPeer(`BENCH_PEERS is not set; ${advice}`)
  try {
    const manifest = join(folder, 'node_modules', packageName, 'package.json')
    const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
    // Resolved as an importer in that folder would have it; the package may export nothing but its entry.
    return { module: createRequire(join(dirname(manifest), 'package.json')).resolve(packageName), version }
  } catch (error) {
    throw new MissingPeer(`${packageName} is not installed in ${folder} (${(error as Error).message.split('\n')[0]}); ${advice}`)
  }
}
