import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, open, rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { SlotpoolError } from '../errors.ts'

/** 256 bits in base64url. */
const tokenPattern = /^[A-Za-z0-9_-]{43}$/

/** Where the bearer token of a pool lies in the pool's state folder. */
export function tokenPath(folder: string): string {
  return join(folder, 'token')
}

/**
 * The bearer token kept in `folder`, made on first use. Processes that ask at the same time get the same one.
 *
 * @throws {SlotpoolError} `BACKEND_UNAVAILABLE` when the file holds something else than a token or cannot be read or made.
 */
export async function readOrMakeToken(folder: string): Promise<string> {
  const path = tokenPath(folder)
  try {
    return readToken(path) ?? (await makeToken(path))
  } catch (error) {
    if (error instanceof SlotpoolError) throw error
    throw new SlotpoolError('BACKEND_UNAVAILABLE', `the token file ${path} cannot be read or made: ${(error as Error).message}`, {
      cause: error,
      retryable: false,
      details: { path },
    })
  }
}

/** The token kept in `folder`, if there is one. @throws {SlotpoolError} `BACKEND_UNAVAILABLE` when the file holds something else. */
export function knownToken(folder: string): string | undefined {
  return readToken(tokenPath(folder))
}

/** Puts back a token that containers were made with, where it was taken away meanwhile. One that is there stays. */
export async function keepToken(folder: string, token: string): Promise<void> {
  const path = tokenPath(folder)
  if (readToken(path) === undefined) await writeToken(path, token)
}

/** Removes the token; that there is none is fine. */
export async function removeToken(folder: string): Promise<void> {
  await rm(tokenPath(folder), { force: true })
}

function readToken(path: string): string | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (tokenPattern.test(text)) return text
  throw new SlotpoolError(
    'BACKEND_UNAVAILABLE',
    `the token file ${path} holds ${Buffer.byteLength(text)} bytes that are no token; expected 43 characters of base64url. ` +
      'End the pool with `slotpool down` and remove the file.',
    { retryable: false, details: { path } },
  )
}

async function makeToken(path: string): Promise<string> {
  const token = randomBytes(32).toString('base64url')
  if (await writeToken(path, token)) return token
  const theirs = readToken(path)
  // Removed again in between, by a `down` in another process: what is asked for now is a new one.
  return theirs ?? (await makeToken(path))
}

/**
 * Written aside and linked into place: a link never replaces a file, so the first of several processes wins, with a whole file.
 *
 * @returns whether it is this one that is there now.
 */
async function writeToken(path: string, token: string): Promise<boolean> {
  const aside = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`
  const file = await open(aside, 'wx', 0o600)
  try {
    try {
      await file.writeFile(token)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(aside, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await unlink(aside)
  }
}
