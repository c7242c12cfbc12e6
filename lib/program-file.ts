import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { Script } from 'node:vm'

/** A program in one file, as `scripts/build.js` makes them, that has been run. */
export interface LoadedProgram<T> {
  exports: T
  /** Writes down what V8 has made of it so far, for the next time that it is loaded. V8 knows only functions that have been called. */
  writeCodeCache(): void
}

/**
 * Runs a program, with what V8 made of it before where that is beside it, as `NAME.cache`: to read one of this size anew takes as long as it
 * takes Node itself to start. What another version of V8 wrote is passed over. It is faster with it, and the same without. `require` is what the
 * program has for that: of a file in the same folder.
 */
export function loadProgram<T extends object>(file: string, require: NodeJS.Require): LoadedProgram<T> {
  // All of it is ASCII, and so a string of one byte a character.
  const source = readFileSync(file, 'latin1')
  const cacheFile = file.replace(/\.cjs$/, '.cache')
  const digest = digestOf(source)
  const cachedData = digest === undefined ? undefined : readCache(cacheFile, digest)
  const script = new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    // Without its folder, which is kept with the rest and may be another by then.
    filename: basename(file),
    ...(cachedData === undefined ? {} : { cachedData }),
  })
  const program: { exports: Partial<T> } = { exports: {} }
  script.runInThisContext()(program.exports, require, program, file, dirname(file))
  const writeCodeCache = (): void => {
    if (digest === undefined)
      throw new Error(`${file} does not begin with its digest, and without that a cache could be taken for that of another program`)
    // In one step, since others may be starting.
    const fresh = `${cacheFile}.${process.pid}`
    writeFileSync(fresh, Buffer.concat([Buffer.from(digest), script.createCachedData()]))
    renameSync(fresh, cacheFile)
  }
  return { exports: program.exports as T, writeCodeCache }
}

/**
 * The first line of a program, in which the build has put the digest of the rest: V8 itself tells programs apart by their length alone. It is
 * not computed here, since the library for that takes longer to load than many a command runs.
 */
function digestOf(source: string): string | undefined {
  return /^\/\/ [0-9a-f]{64}\n/.exec(source)?.[0]
}

function readCache(file: string, digest: string): Buffer | undefined {
  try {
    const found = readFileSync(file)
    return found.toString('latin1', 0, digest.length) === digest ? found.subarray(digest.length) : undefined
  } catch {
    return undefined
  }
}
