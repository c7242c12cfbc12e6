/**
 * Whether a link at `path`, relative to a folder whose own folders are no links, may lead out of that folder. A `..` counts only at the
 * beginning, where it leaves the link's own folder: after another name it would leave whatever a link of that name leads to.
 */
export function leadsOutside(path: string, target: string): boolean {
  if (target.startsWith('/')) return true
  const parts = target.split('/').filter((part) => part !== '' && part !== '.')
  const up = parts.findIndex((part) => part !== '..')
  const leading = up === -1 ? parts.length : up
  const depth = path.split('/').length - 1
  return leading > depth || parts.slice(leading).includes('..')
}
