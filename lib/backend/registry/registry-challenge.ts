import { SlotpoolError } from '../../errors.ts'

/** How a registry wants to be told who asks. */
export type Challenge = { scheme: 'basic' } | { scheme: 'bearer'; realm: string; service: string | undefined; scope: string | undefined }

/** Reads `WWW-Authenticate`. @throws {SlotpoolError} `REGISTRY_UNAUTHORIZED` for a way that nobody here knows. */
export function readChallenge(header: string, host: string): Challenge {
  const bearer = /\bBearer\s+(.*)$/i.exec(header)
  if (bearer) {
    const fields = Object.fromEntries([...(bearer[1] as string).matchAll(/([a-z_]+)="([^"]*)"/gi)].map(([, name, value]) => [name, value]))
    if (fields.realm && URL.canParse(fields.realm))
      return { scheme: 'bearer', realm: fields.realm, service: fields.service, scope: fields.scope }
  }
  if (/\bBasic\b/i.test(header)) return { scheme: 'basic' }
  const [scheme = ''] = header.split(' ')
  throw new SlotpoolError(
    'REGISTRY_UNAUTHORIZED',
    `registry ${host} wants to know who asks in the way ${JSON.stringify(scheme)}, expected Basic or Bearer`,
  )
}
