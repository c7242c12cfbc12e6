import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { SlotpoolError } from '../../errors.ts'
import { isMissing } from './store-failure.ts'

/** What a registry is told of who asks. Never written down, and in no message. */
export type Credentials = { username: string; password: string } | { identityToken: string }

/** What `docker login` has noted down for a registry. */
export interface KnownCredentials {
  credentials: Credentials | undefined
  /** The file in which they are looked for. */
  file: string
  /** The program that keeps them instead, where that file names one: it is not run. */
  helper: string | undefined
}

const login = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
})
const configFile = z.object({
  auths: z.record(z.string(), login).optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
})

/**
 * What `config.json` of Docker, in the folder that `DOCKER_CONFIG` names or in `~/.docker`, has for a registry in its `auths`; nothing else is asked.
 *
 * @throws {SlotpoolError} `CONFIG_INVALID` for a file that cannot be read.
 */
export async function knownCredentials(host: string, env: NodeJS.ProcessEnv = process.env): Promise<KnownCredentials> {
  const file = join(env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker'), 'config.json')
  const { auths = {}, credsStore, credHelpers = {} } = await readConfig(file)
  const found = Object.entries(auths).find(([name]) => hostOf(name) === host)?.[1]
  return { credentials: found && credentialsOf(found), file, helper: credHelpers[host] ?? credsStore }
}

async function readConfig(file: string): Promise<z.infer<typeof configFile>> {
  try {
    return configFile.parse(JSON.parse(await readFile(file, 'utf8')))
  } catch (error) {
    if (isMissing(error)) return {}
    // Without the cause: a parser quotes what it reads.
    throw new SlotpoolError(
      'CONFIG_INVALID',
      `${file}: got something that is not Docker's configuration, expected what \`docker login\` writes`,
      {
        details: { file },
      },
    )
  }
}

/** A registry is named with or without its scheme and path; Docker Hub has a name of its own there. */
function hostOf(name: string): string {
  const host = name.replace(/^https?:\/\//, '').replace(/\/.*$/, '')
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? 'docker.io' : host
}

function credentialsOf({ auth, username, password, identitytoken }: z.infer<typeof login>): Credentials | undefined {
  if (identitytoken) return { identityToken: identitytoken }
  if (username && password !== undefined) return { username, password }
  const text = Buffer.from(auth ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  // Docker's own Windows client pads passwords with zero bytes.
  return colon < 1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') }
}
