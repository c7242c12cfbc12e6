/** Put in by the bundler. */
declare const SLOTPOOL_VERSION: string | undefined

/** The version of the package that this server was built from. */
export const serverVersion = typeof SLOTPOOL_VERSION === 'string' ? SLOTPOOL_VERSION : 'source'
