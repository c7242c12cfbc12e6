/** A table whose first columns are text and whose others are figures. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], textColumns: number): string[] {
  const widths = header.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, at) => (at < textColumns ? cell.padEnd(widths[at] as number) : cell.padStart(widths[at] as number)))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)]
}
