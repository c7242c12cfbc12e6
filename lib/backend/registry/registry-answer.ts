import type { Readable } from 'node:stream'
import { SlotpoolError } from '../../errors.ts'
import { unlessSilent } from './silence.ts'

/** What a registry answered; the body is to be read, or let go by `resume()`. */
export interface RegistryAnswer {
  status: number
  headers: Readonly<Record<string, string | undefined>>
  body: Readable
  /** Where the answer came from, redirects followed. */
  url: string
}

/** All of a short body. @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` for a longer one; what the stream fails with, or that it fell silent. */
export async function readAll(body: Readable, maxBytes: number, silentMs: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of unlessSilent(body, silentMs)) {
    bytes += chunk.length
    if (bytes > maxBytes)
      throw new SlotpoolError('REGISTRY_REQUEST_FAILED', `a registry sent more than ${maxBytes} bytes where that was the most expected`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** What the registry says went wrong, as its protocol has it. */
export function wordsOf(content: Buffer): string {
  try {
    const { errors } = JSON.parse(content.toString('utf8')) as { errors?: { code?: string; message?: string }[] }
    return (errors ?? []).map(({ code, message }) => [code, message].filter(Boolean).join(': ')).join('; ')
  } catch {
    return content.toString('utf8').trim().slice(0, 300)
  }
}

export function flatHeaders(headers: object): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value.join(', ') : String(value)]),
  )
}
