import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { SlotpoolError } from '../../errors.ts'
import { type TlsFiles, tlsFromFolder } from './tls-files.ts'

const cliConfig = z.object({ currentContext: z.string().optional() })
const contextMeta = z.object({
  Endpoints: z.object({ docker: z.object({ Host: z.string(), SkipTLSVerify: z.boolean().optional() }) }),
})

/** The context that `docker context use` chose; undefined when none was. */
export function currentContext(configFolder: string): string | undefined {
  const path = join(configFolder, 'config.json')
  return existsSync(path) ? readJson(path, cliConfig).currentContext || undefined : undefined
}

/** Where the engine of a context is. Docker keeps contexts in folders named by the SHA-256 of their name. */
export function contextEndpoint(configFolder: string, name: string): { host: string; tls?: TlsFiles } {
  const folderName = createHash('sha256').update(name).digest('hex')
  const path = join(configFolder, 'contexts', 'meta', folderName, 'meta.json')
  if (!existsSync(path)) {
    throw new SlotpoolError(
      'CONFIG_INVALID',
      `DOCKER_CONTEXT: got ${JSON.stringify(name)}, expected a name that \`docker context ls\` lists`,
      {
        details: { variable: 'DOCKER_CONTEXT', got: name },
      },
    )
  }
  const { Host, SkipTLSVerify } = readJson(path, contextMeta).Endpoints.docker
  const tlsFolder = join(configFolder, 'contexts', 'tls', folderName, 'docker')
  return existsSync(tlsFolder) ? { host: Host, tls: tlsFromFolder(tlsFolder, SkipTLSVerify !== true) } : { host: Host }
}

function readJson<T>(path: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new SlotpoolError('CONFIG_INVALID', `${path}: cannot be read as Docker's CLI writes it: ${(cause as Error).message}`, { cause })
  }
}
