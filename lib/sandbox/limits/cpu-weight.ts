/**
 * The file and value that give a group a weight of 1 to 10,000 where 100 is the usual. Version 1 counts shares, of which 1024 are the
 * usual and 2 the least.
 */
export function cpuSetting(version: 1 | 2, weight: number): { file: string; value: number } {
  if (version === 2) return { file: 'cpu.weight', value: weight }
  return { file: 'cpu.shares', value: Math.max(2, Math.round((weight * 1024) / 100)) }
}
