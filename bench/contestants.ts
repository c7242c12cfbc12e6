import type { Slot } from 'slotpool'
import type { Contestant } from './interleave.ts'
import type { OpenPeer } from './peers/open-peers.ts'

const command = 'echo hello'

/** Who runs `echo hello`, with the answer checked: a run that went wrong fast must not count as a fast one. */
export function echoIn(slot: Slot, name: string): Contestant {
  return {
    name,
    async once() {
      const startedAt = performance.now()
      const { stdout, exitCode } = await slot.exec(command)
      const elapsedMs = performance.now() - startedAt
      checkEcho(stdout, exitCode)
      return elapsedMs
    },
  }
}

export function echoBy(peer: OpenPeer): Contestant {
  return {
    name: peer.name,
    async once() {
      const startedAt = performance.now()
      const { stdout, exitCode, elapsedMs = performance.now() - startedAt } = await peer.run(command)
      checkEcho(stdout, exitCode)
      return elapsedMs
    },
  }
}

export function checkEcho(stdout: string, exitCode: number | null): void {
  if (stdout === 'hello\n' && exitCode === 0) return
  throw new Error(`\`${command}\` gave ${JSON.stringify(stdout.slice(0, 200))} and exit code ${exitCode}`)
}
