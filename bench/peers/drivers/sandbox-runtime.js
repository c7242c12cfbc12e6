// Runs commands with @anthropic-ai/sandbox-runtime: node sandbox-runtime.js MODULE VERSION WORKSPACE.
import { spawn } from 'node:child_process'
import { refuse, serve } from './serve.js'

const [module, version, workspace] = process.argv.slice(2)
process.chdir(workspace)

try {
  const { SandboxManager } = await import(module)
  await SandboxManager.initialize({
    network: { allowedDomains: [], deniedDomains: [] },
    filesystem: { denyRead: [], allowWrite: [workspace, '/tmp'], denyWrite: [] },
  })
  serve({
    version,
    async start(command) {
      const wrapped = await SandboxManager.wrapWithSandbox(command, '/bin/bash')
      return spawn(wrapped, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
    },
    ended: () => SandboxManager.cleanupAfterCommand(),
    close: () => SandboxManager.reset(),
  })
} catch (error) {
  refuse(error)
}
