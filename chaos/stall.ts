import { setTimeout as delay } from 'node:timers/promises'

const shortestMs = 500
const longestMs = 2_000

/** How long a server is stopped. */
export const stallMs = (extent: number): number => Math.round(shortestMs + extent * (longestMs - shortestMs))

export const delayFor = (ms: number): Promise<void> => delay(ms)
