import { SlotpoolError } from '../../errors.ts'

/** An image reference, taken apart as Docker does. */
export interface ImageReference {
  /** The registry's host and port, such as `127.0.0.1:5000`; `docker.io` where none is named. */
  host: string
  /** Whether the host was written out. */
  namesHost: boolean
  /** The repository on it, such as `library/debian`. */
  repository: string
  /** `latest` where neither a tag nor a digest is given. */
  tag: string | undefined
  digest: string | undefined
}

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const domain = '(?:\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?'
const pattern = new RegExp(
  `^(?:(${domain})/)?(${component}(?:/${component})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`,
)

const dockerHost = 'docker.io'

/**
 * Takes a reference apart: what comes before the first slash is a host where it has a dot or a port or is `localhost`.
 *
 * @throws {SlotpoolError} `USAGE`.
 */
export function parseReference(text: string): ImageReference {
  const slash = text.indexOf('/')
  const first = slash === -1 ? '' : text.slice(0, slash)
  const namesHost = first === 'localhost' || /[.:]/.test(first)
  const match = pattern.exec(namesHost ? text : `${dockerHost}/${text}`)
  const [, host = '', path = '', tag, digest] = match ?? []
  // Such as a port that is none, or an IPv4 address with a number too large.
  if (match === null || path.length > 255 || !URL.canParse(`https://${host}`)) {
    const lower = match === null && pattern.test((namesHost ? text : `${dockerHost}/${text}`).toLowerCase()) ? ', NAME in lower case' : ''
    throw new SlotpoolError(
      'USAGE',
      `image reference: got ${JSON.stringify(text)}, expected [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]${lower}`,
      { details: { got: text } },
    )
  }
  const plainHost = host === 'index.docker.io' ? dockerHost : host
  const repository = plainHost === dockerHost && !path.includes('/') ? `library/${path}` : path
  return { host: plainHost, namesHost, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest }
}

/** The same; undefined for what is no reference, such as the start of an id. */
export function tryParseReference(text: string): ImageReference | undefined {
  try {
    return parseReference(text)
  } catch {
    return undefined
  }
}

/** The one form of a reference: with its host, and its tag or digest. */
export function formatReference({ host, repository, tag, digest }: ImageReference): string {
  return `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}

/** The same with the tag and digest, so that what leaves either out names what Docker takes it for. */
export function wholeReference(text: string): string {
  return formatReference(parseReference(text))
}
