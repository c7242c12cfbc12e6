import type { Socket } from 'node:net'

/** The most that a pipe can hold when its writer ends (fs.pipe-max-size, pipe(7)). What is read beyond it was written afterwards. */
export const maxPipeBytes = 1024 * 1024

/**
 * Resolves when all that was in a pipe at this moment has been read. A command has ended, but its output may still lie in the kernel; and
 * its end of the pipe need not close, for a background child may hold it. So this does not wait for the end of the stream, but for a turn
 * of the event loop in which the pipe was looked at and had nothing. A pipe that waited for its reader is let go on: what it can hold is bounded.
 */
export async function drainPipe(pipe: Socket): Promise<void> {
  pipe.resume()
  const limit = pipe.bytesRead + maxPipeBytes
  while (!pipe.readableEnded && !pipe.destroyed && pipe.bytesRead < limit) {
    const before = pipe.bytesRead
    await loopTurn()
    if (pipe.bytesRead === before) return
  }
}

/** Resolves after a whole turn: from one check phase, through a poll phase, to the next check phase. */
function loopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}
