import { SlotpoolError } from '../errors.ts'

/** What a request was, without anything secret: it is named in every error. */
export interface RequestLabel {
  /** Where the agent was asked, such as `http://localhost:4646`. */
  address: string
  method: string
  /** The path without the query. */
  path: string
  /** What it was for, to be read after "to": `register job slotpool-default`. */
  purpose: string
}

/** Longer bodies are cut: Nomad's own words are one line. */
const maxWords = 1000

/** How Nomad begins its refusal of a job that was changed since it was read (status 500, with no code of its own). */
const enforceIndexWords = 'Enforcing job modify index'

/** The request got no answer. */
export function noAnswer(label: RequestLabel, error: unknown): SlotpoolError {
  const code = nodeCode(error)
  const tls = code !== undefined && /^(CERT_|ERR_TLS|ERR_SSL|EPROTO|UNABLE_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_)/.test(code)
  const words = error instanceof Error ? error.message : String(error)
  return new SlotpoolError(
    'NOMAD_UNAVAILABLE',
    `no answer from Nomad at ${label.address} (${words || code || 'no reason given'}); expected an agent there to ${label.purpose}`,
    {
      cause: plainCause(words, code),
      details: { address: label.address, ...(code === undefined ? {} : { reason: code }) },
      // A certificate does not become valid by asking again.
      retryable: !tls,
    },
  )
}

/** Nomad answered with a status that is not a success. `body` is its text. */
export function badStatus(label: RequestLabel, status: number, body: string, location?: string): SlotpoolError {
  const details = { address: label.address, method: label.method, path: label.path, status }
  const words = nomadWords(body)
  if (status === 403) {
    return new SlotpoolError(
      'NOMAD_FORBIDDEN',
      `Nomad at ${label.address} refused to ${label.purpose}: ${words || 'Permission denied'}; expected a NOMAD_TOKEN whose policy allows it`,
      { details },
    )
  }
  if (status === 409 || words.includes(enforceIndexWords)) {
    return new SlotpoolError('NOMAD_CONFLICT', `somebody else was first to ${label.purpose}${words ? `: ${words}` : ''}`, { details })
  }
  if (status >= 300 && status < 400) {
    return new SlotpoolError(
      'NOMAD_REQUEST_FAILED',
      `${label.address} answered with a redirect to ${location ?? 'nowhere'} when asked to ${label.purpose}; expected the address of Nomad's API itself`,
      { details, retryable: false },
    )
  }
  return new SlotpoolError('NOMAD_REQUEST_FAILED', `Nomad failed to ${label.purpose}: got status ${status}${words ? `: ${words}` : ''}`, {
    details: { ...details, ...(words ? { words } : {}) },
    retryable: status >= 500 || status === 429,
  })
}

/** Nomad's answer is not what its API says: most likely it is not Nomad that answers. */
export function badAnswer(label: RequestLabel, got: string, cause?: unknown): SlotpoolError {
  return new SlotpoolError(
    'NOMAD_REQUEST_FAILED',
    `the answer of ${label.address} to ${label.method} ${label.path} is not one of Nomad's: ${got}; expected a Nomad agent there`,
    { cause, details: { address: label.address, method: label.method, path: label.path }, retryable: false },
  )
}

/**
 * Nomad's errors are plain text. A body of JSON is not a message (the 409 of a variable holds the variable, secrets included), and
 * HTML is a proxy's page.
 */
function nomadWords(body: string): string {
  const text = body.trim()
  if (/^[[{<]/.test(text)) return ''
  return text.length > maxWords ? `${text.slice(0, maxWords)}…` : text
}

function nodeCode(error: unknown): string | undefined {
  for (let one = error, depth = 0; one instanceof Error && depth < 5; one = one.cause, depth++) {
    const { code } = one as NodeJS.ErrnoException
    if (typeof code === 'string') return code
  }
  return undefined
}

/** axios hangs the whole request on its errors, headers with the token included, so its error itself is never passed on. */
function plainCause(message: string, code: string | undefined): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code })
}
