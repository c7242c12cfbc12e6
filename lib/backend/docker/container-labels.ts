import { z } from 'zod'
import type { Config } from '../../config.ts'
import { readTerms, writeTerms } from '../../pool-terms.ts'
import type { PoolShape } from '../backend.ts'
import type { PoolVersion } from '../pool-version.ts'

/** What a container carries so that any process finds it again. None of it is a secret. */
export const poolLabel = 'slotpool.pool'

const labels = z.object({
  [poolLabel]: z.string(),
  'slotpool.index': z
    .string()
    .regex(/^[0-9]{1,5}$/)
    .transform(Number),
  'slotpool.image': z.string(),
  'slotpool.slots': z
    .string()
    .regex(/^[0-9]{1,5}$/)
    .transform(Number),
  'slotpool.isolation': z.string(),
  'slotpool.network': z.string(),
  'slotpool.terms': z.string().optional(),
  'slotpool.version': z.string().default(''),
  'slotpool.generation': z
    .string()
    .regex(/^[0-9]{1,9}$/)
    .default('0')
    .transform(Number),
})

export function labelsFor(
  config: Config,
  index: number,
  { id, generation }: Pick<PoolVersion, 'id' | 'generation'>,
): Record<string, string> {
  return {
    [poolLabel]: config.pool,
    'slotpool.index': String(index),
    'slotpool.image': config.image,
    'slotpool.slots': String(config.slots),
    'slotpool.isolation': config.isolation,
    'slotpool.network': config.network,
    'slotpool.terms': writeTerms(config),
    'slotpool.version': id,
    'slotpool.generation': String(generation),
  }
}

/** Undefined for a container that has the label of a pool but was not made by this package. */
export function readLabels(
  got: Record<string, string>,
): { pool: string; index: number; shape: PoolShape; version: PoolVersion } | undefined {
  const { data } = labels.safeParse(got)
  const terms = readTerms(data?.['slotpool.terms'])
  if (data === undefined || terms === undefined) return undefined
  const shape = {
    image: data['slotpool.image'],
    slots: data['slotpool.slots'],
    isolation: data['slotpool.isolation'],
    network: data['slotpool.network'],
    ...terms,
  }
  const version = { id: data['slotpool.version'], generation: data['slotpool.generation'], image: shape.image }
  return { pool: data[poolLabel], index: data['slotpool.index'], shape, version }
}
