import { readdirSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { stateDir } from '../../state-dir.ts'
import { tokenPath } from '../token-file.ts'
import type { DockerEngine } from './engine.ts'
import { isOfEngine } from './engine-note.ts'
import { findHalfMade } from './half-made.ts'
import { listEveryPool, type PoolContainer } from './pool-containers.ts'
import { removeContainer } from './remove-container.ts'
import { removeLostVolumes } from './remove-volumes.ts'
import { removeUnusedTools } from './tools-volume.ts'

/** A token that nobody has a container for is kept for so long: whoever made it may just be starting one. */
const unusedTokenMs = 3_600_000

/**
 * Removes what managers left behind that died, of pools which nobody opens again: containers that were made and never started, and tokens of
 * pools that ended by themselves; and volumes whose container was removed without them. Containers that ended are removed by the engine. Those
 * of the pool called `ownPool` are not touched. What it cannot remove stays for the next time; it never fails.
 */
export async function reapLeftovers(engine: DockerEngine, ownPool: string, env: NodeJS.ProcessEnv): Promise<void> {
  try {
    const others = (await listEveryPool(engine)).filter((one) => one.pool !== ownPool)
    const halfMade = await findHalfMade(engine, others)
    await Promise.all(halfMade.map((one) => removeContainer(engine, one.id).catch(() => {})))
    await removeLostVolumes(engine)
    await removeUnusedTools(engine)
    await reapTokens(join(stateDir(env), 'docker'), engine.address.address, ownPool, others)
  } catch {
    // The engine is busy or gone, which those learn who need it.
  }
}

async function reapTokens(folder: string, address: string, ownPool: string, others: readonly PoolContainer[]): Promise<void> {
  const inUse = new Set([ownPool, ...others.map((one) => one.pool)])
  for (const pool of readdirSync(folder)) {
    const token = statSync(tokenPath(join(folder, pool)), { throwIfNoEntry: false })
    if (inUse.has(pool) || token === undefined || Date.now() - token.mtimeMs < unusedTokenMs) continue
    if (!isOfEngine(join(folder, pool), address)) continue
    await rm(join(folder, pool), { recursive: true, force: true })
  }
}
