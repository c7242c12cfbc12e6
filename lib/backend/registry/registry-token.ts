import { SlotpoolError } from '../../errors.ts'
import type { Challenge } from './registry-challenge.ts'
import type { Credentials } from './registry-credentials.ts'

/** A request for a token, as it is sent. */
export interface TokenRequest {
  method: 'GET' | 'POST'
  url: URL
  headers: Record<string, string>
  data: Buffer | undefined
}

/** How a token is asked for where a registry sends for one: with a password in the header, with an identity token as a form, or by nobody in particular. */
export function tokenRequest(
  { realm, service, scope }: Extract<Challenge, { scheme: 'bearer' }>,
  wanted: string,
  credentials: Credentials | undefined,
): TokenRequest {
  const url = new URL(realm)
  const asked = { scope: scope ?? wanted, ...(service === undefined ? {} : { service }) }
  if (credentials && 'identityToken' in credentials) {
    const form = { ...asked, grant_type: 'refresh_token', client_id: 'slotpool', refresh_token: credentials.identityToken }
    const data = Buffer.from(new URLSearchParams(form).toString())
    return { method: 'POST', url, headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, data }
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
  return { method: 'GET', url, headers: credentials ? { Authorization: basic(credentials) } : {}, data: undefined }
}

/** @throws {SlotpoolError} `REGISTRY_REQUEST_FAILED` for what is no token, without a word of what it is. */
export function readToken(content: Buffer, host: string): string {
  try {
    const { token, access_token: other } = JSON.parse(content.toString('utf8')) as Record<string, unknown>
    const found = token ?? other
    if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return found
  } catch {
    // Said below.
  }
  throw new SlotpoolError('REGISTRY_REQUEST_FAILED', `what registry ${host} sends for a token to gave none`)
}

/** The header that says who asks by a password. */
export function basic({ username, password }: Extract<Credentials, { username: string }>): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
