import type { Readable } from 'node:stream'

/** The longest line that is read. One that tells of 1,000 allocations at once is about 20 MB. */
const maxLineBytes = 256 * 1024 * 1024

/** The lines of a stream as they come, without their ends. What follows the last end is no line. @throws what the stream fails with. */
export async function* eachLine(stream: Readable): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, end))
      yield Buffer.concat(parts).toString('utf8')
      parts = []
      bytes = 0
      from = end + 1
    }
    parts.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > maxLineBytes) throw new Error(`a line is longer than ${maxLineBytes} bytes`)
  }
}
