import { z } from 'zod'

/** The largest file that is written, and what a tar may unpack to unless its sender says otherwise: 1 GiB. */
export const maxFileBytes = 1024 * 1024 * 1024

/** What a tar may unpack to at most, whatever its sender says: 16 GiB. */
export const maxTarBytes = 16 * maxFileBytes

/** The most files, folders and links of one tar or one listing. */
export const maxEntries = 100_000

/** The most entries of a listing unless its asker says otherwise. */
export const defaultListEntries = 10_000

/** All paths and link targets of one listing, or of one tar, together. */
export const maxNameBytes = 16 * 1024 * 1024

/** What a path in a slot is, as `stat` tells of it: a link is not followed. */
export const fileEntry = z.object({
  /** The last part of `path`. */
  name: z.string(),
  /** As the file API takes it: absolute, or from the workspace, as the path that was asked for. */
  path: z.string(),
  type: z.enum(['file', 'folder', 'link', 'other']),
  /** Of a file its length; of anything else what the filesystem says. */
  bytes: z.number(),
  /** The permission bits, 0 to 0o7777. */
  mode: z.number(),
  /** When its content was last changed, in ms since 1970. */
  modifiedAtMs: z.number(),
  /** Where a link points to, as it is written in it. */
  target: z.string().optional(),
  /** The path or the target has bytes that are not UTF-8, shown as U+FFFD: it cannot be asked for by this path. */
  notUtf8: z.literal(true).optional(),
})
export type FileEntry = z.output<typeof fileEntry>

export const listResponse = z.object({ entries: z.array(fileEntry) })
export const statResponse = z.object({ entry: fileEntry })

/** What was unpacked of a tar. */
export const tarResponse = z.object({
  /** Files, folders and links. */
  entries: z.number(),
  /** The lengths of its files together. */
  bytes: z.number(),
})
export type TarResult = z.output<typeof tarResponse>

/** A whole number in a query, without anything around it. */
const count = (max: number) =>
  z
    .string()
    .regex(/^[0-9]{1,15}$/, 'expected a whole number')
    .transform(Number)
    .refine((value) => value <= max, `expected at most ${max}`)
const yes = z.literal('true').optional()
const path = z.string()

/** The queries of the routes for files. */
export const fileQuery = z.strictObject({ path })
export const writeQuery = z.strictObject({ path, mode: count(0o777).optional() })
export const removeQuery = z.strictObject({ path, recursive: yes })
export const listQuery = z.strictObject({ path, recursive: yes, maxEntries: count(maxEntries).default(defaultListEntries) })
export const tarQuery = z.strictObject({
  path,
  maxBytes: count(maxTarBytes).default(maxFileBytes),
  maxEntries: count(maxEntries).default(maxEntries),
})

/** What a tar may unpack to. */
export interface TarBounds {
  maxBytes: number
  maxEntries: number
}
