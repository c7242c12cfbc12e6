// Runs commands by starting a program for each: node spawn.js VERSION PREFIXES, where PREFIXES is the JSON of a command line for each sandbox,
// to which the command is added as the last argument.
import { spawn } from 'node:child_process'
import { serve } from './serve.js'

const [version, prefixes] = process.argv.slice(2)
const commandLines = JSON.parse(prefixes)

serve({
  version,
  start(command, sandbox) {
    const [file, ...args] = commandLines[sandbox % commandLines.length]
    return spawn(file, [...args, command], { stdio: ['ignore', 'pipe', 'pipe'] })
  },
})
