/** What `slotpool doctor` says of one part. */
export interface Check {
  /** The part, such as `docker`. */
  name: string
  /** Whether the part is there: a program is installed, an engine answers. It may still need mending. */
  found: boolean
  /** Its version as it says it itself, or null when it is not there or keeps it to itself. */
  version: string | null
  /** What was seen, in one line. */
  detail: string
  /** The one command that would most likely mend it; null when nothing needs mending or no command would do. */
  mend: string | null
}
