/**
 * What a terminal would obey rather than show: control characters, of which a line may hold tabs, and those that turn the direction of
 * writing, by which a name can be made to look like another.
 */
const obeyed = /[^\P{Cc}\t]|[\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

/** A line for people: what in it is not to be obeyed is written as `\\u{…}`. What a command itself wrote is never passed through here. */
export function printable(line: string): string {
  return line.replace(obeyed, (found) => `\\u{${(found.codePointAt(0) as number).toString(16)}}`)
}
