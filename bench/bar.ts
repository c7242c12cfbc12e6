/** What is to be reached, and how it is read. */
export interface Goal {
  what: string
  limit: number
  /** Whether the limit is the most or the least that will do. */
  at: 'most' | 'least'
  unit: '×' | 'MiB' | 'bytes'
}

/** Every figure that the design sets; the floor is a bare `spawn('/bin/bash', ['-c', …])` in the same run. */
export const goals = {
  'exec-p50': { what: 'exec of `echo hello` on a warm slot, p50 against the floor', limit: 0.7, at: 'most', unit: '×' },
  'exec-p99': { what: "exec of `echo hello` on a warm slot, p99 against the floor's p99", limit: 1.5, at: 'most', unit: '×' },
  'docker-exec': { what: 'exec of `echo hello`, how many times faster than `docker exec`', limit: 40, at: 'least', unit: '×' },
  lease: { what: 'lease of a ready slot, p50 against exec of `echo hello`', limit: 1.5, at: 'most', unit: '×' },
  release: { what: 'release, p50 against exec of `echo hello`', limit: 1.5, at: 'most', unit: '×' },
  throughput: { what: '1,000 short commands over 10 slots, rate against the floor', limit: 0.9, at: 'least', unit: '×' },
  'stream-rate': { what: '1 GiB of stdout, rate against a bare pipe to Node', limit: 0.5, at: 'least', unit: '×' },
  'stream-memory': { what: "the server's growth in memory during 1 GiB of stdout", limit: 32, at: 'most', unit: 'MiB' },
  'stream-lost': { what: 'bytes lost or changed in 1 GiB', limit: 0, at: 'most', unit: 'bytes' },
  'idle-slot': { what: "an idle slot's memory, jail and ready shells included", limit: 6, at: 'most', unit: 'MiB' },
  'pool-scale': { what: 'lease in a pool of 1,000 containers against one of 10', limit: 1.5, at: 'most', unit: '×' },
  'cli-exec': {
    what: 'a warm `slotpool exec` of `echo hello` against `node -e 0` and the floor together',
    limit: 1.3,
    at: 'most',
    unit: '×',
  },
  'nomad-cold-start': {
    what: 'from nothing to the first command on Nomad, against a bare task of the same image',
    limit: 1.3,
    at: 'most',
    unit: '×',
  },
} as const satisfies Record<string, Goal>

export type GoalName = keyof typeof goals

export function isReached({ limit, at }: Goal, value: number): boolean {
  return at === 'most' ? value <= limit : value >= limit
}
