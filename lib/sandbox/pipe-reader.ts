import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'

/** All pipes are read into it, one after the other. A pipe holds no more unless somebody enlarged it. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * Reads a pipe by its descriptor. What a `data` event brings is there for as long as the event lasts, for the next read of any pipe
 * overwrites it: a gigabyte of output would else be as much memory for the collector to find again.
 */
export function pipeReader(fd: number): Socket {
  const onread: OnReadOpts = {
    buffer,
    callback(bytes) {
      const chunk = buffer.subarray(0, bytes)
      // Nobody listens yet, or what came before that is still to be handed on.
      if (!reader.readableFlowing || reader.readableLength > 0) return reader.push(Buffer.from(chunk))
      reader.emit('data', chunk)
      return true
    },
  }
  const options: SocketConstructorOpts & { onread: OnReadOpts } = { fd, readable: true, writable: false, onread }
  const reader = new Socket(options)
  return reader
}
