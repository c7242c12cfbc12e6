import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SlotpoolError } from '../../errors.ts'

/** What a TLS connection to an engine needs, as Docker keeps it: three files of fixed names in one folder. */
export interface TlsFiles {
  ca?: Buffer
  cert?: Buffer
  key?: Buffer
  /** False where the engine's certificate is taken unseen. */
  verify: boolean
}

/** Reads `ca.pem`, `cert.pem` and `key.pem`, as far as they are there. @throws {SlotpoolError} `CONFIG_INVALID` for an unreadable one. */
export function tlsFromFolder(folder: string, verify: boolean): TlsFiles {
  const files: TlsFiles = { verify }
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = join(folder, `${name}.pem`)
    if (!existsSync(path)) continue
    try {
      files[name] = readFileSync(path)
    } catch (cause) {
      throw new SlotpoolError('CONFIG_INVALID', `${path}: ${(cause as Error).message}; expected a readable PEM file`, { cause })
    }
  }
  return files
}
