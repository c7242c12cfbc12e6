import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../package-root.ts'
import { asRoot } from './as-root.ts'
import type { Check } from './check.ts'
import type { Machine } from './machine.ts'

/** Whether this Node is one that slotpool is made for. */
export async function checkNode(machine: Machine, version: string = process.versions.node): Promise<Check> {
  const least = leastNode()
  const found = isAtLeast(version, least)
  // npm's own package of Node, which carries the program itself.
  const mend = found ? null : asRoot(machine, 'npm install --global node@24')
  const detail = found ? process.execPath : `got ${version}, expected ${least} or newer`
  return { name: 'node', found, version, detail, mend }
}

function leastNode(): string {
  const { engines } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { engines: { node: string } }
  return engines.node.replace(/^>=/, '')
}

function isAtLeast(version: string, least: string): boolean {
  const [got, want] = [version, least].map((text) => text.split('.').map((part) => Number.parseInt(part, 10))) as [number[], number[]]
  for (const [index, wanted] of want.entries()) {
    const difference = (got[index] ?? 0) - wanted
    if (difference !== 0) return difference > 0
  }
  return true
}
