/** The head of an HTTP/1.1 message: its first line and its headers, with the empty line that ends it. */
export function httpHead(firstLine: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${firstLine}\r\n${lines.join('')}\r\n`
}
