import { join } from 'node:path'
import { loadProgram } from '../program-file.ts'

/** What `bin/slotpool.js` runs: it loads the command line, one program beside it. */
const { main } = loadProgram<typeof import('./main.ts')>(join(import.meta.dirname, 'cli.cjs'), require).exports

void main(process.argv.slice(2))
