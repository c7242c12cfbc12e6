import t from 'tap'
import { z } from 'zod'
import { z as standIn } from '../../lib/cli/quick-zod.ts'

const quick = standIn as typeof z

/** The vocabulary of lib/wire/ and lib/config.ts, made by one or the other. */
const make = (z_: typeof z) => {
  const z = z_
  const name = z
    .string()
    .regex(/^[a-z]+$/, 'expected letters')
    .max(5)
  const inner = z.object({
    name,
    count: z.int('expected a whole number').min(1, 'expected at least 1').optional(),
    on: z.boolean().default(false),
  })
  return {
    string: z
      .string()
      .min(1, 'expected something')
      .refine((text) => text.isWellFormed(), 'expected well-formed Unicode'),
    int: z.int({ error: 'expected 1 to 9' }).min(1, 'expected 1 to 9').max(9, 'expected 1 to 9'),
    number: z.number(),
    integer: z.number().int().min(0),
    enum: z.enum(['a', 'b'], { error: 'expected one of a, b' }),
    literal: z.literal(true),
    null: z.null(),
    unknown: z.unknown(),
    array: z.array(name, { error: 'expected names' }).min(1).max(2),
    frozen: z.array(z.string()).readonly().default([]),
    inner,
    nested: z.object({ inner: inner.nullable(), list: z.array(inner), maybe: inner.nullish() }),
    strict: z.strictObject({ ...inner.shape, other: inner.shape.name.optional() }),
    loose: z.looseObject({ name }),
    record: z.record(z.string(), z.number()).default({}),
    keyed: z.record(z.enum(['a', 'b']), z.number()),
    url: z.url({ protocol: /^https?$/, error: 'expected an address' }),
    coerced: z.object({ bytes: z.coerce.number().int().min(0).default(0) }),
    changed: z
      .string()
      .transform(Number)
      .refine((value) => value < 10, 'expected at most 9'),
    extended: inner.extend({ more: z.string() }),
    described: z.string().describe('text').optional(),
  }
}

const values = (() => {
  const plain = [
    undefined,
    null,
    true,
    false,
    0,
    1,
    5,
    -1,
    1.5,
    10,
    2 ** 60,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '',
    'a',
    'b',
    'abcdefg',
    'A',
    '7',
    '\ud800',
    'http://x',
  ]
  const inner = [
    { name: 'a' },
    { name: 'a', count: 2, on: true },
    { name: 'a', count: undefined },
    { name: 'a', count: 0 },
    { name: 'a', more: 'x' },
    {},
  ]
  const lists = [[], ['a'], ['a', 'b'], ['a', 'b', 'c'], ['A'], [1], inner]
  const records = [
    { a: 1 },
    { a: 1, b: 2 },
    { a: 'x' },
    JSON.parse('{"__proto__": 1}'),
    { bytes: '7' },
    { bytes: 'x' },
    Object.create({ name: 'a' }),
    new Date(0),
    new Map(),
  ]
  const nested = inner.flatMap((one) => [
    { inner: one, list: [] },
    { inner: null, list: [one], maybe: null },
    { inner: null, list: [], maybe: one },
  ])
  return [...plain, ...inner, ...lists, ...records, ...nested]
})()

t.test('every value is judged, explained and handed on as by zod', async (t) => {
  const theirs = make(z)
  const ours = make(quick)
  for (const [name, schema] of Object.entries(theirs)) {
    const stand = ours[name as keyof typeof ours]
    for (const value of values) {
      const [expected, got] = [schema.safeParse(value), stand.safeParse(value)]
      const what = `${name} of ${JSON.stringify(value) ?? String(value)}`
      t.equal(got.success, expected.success, what)
      t.strictSame(got.data, expected.data, `${what}: value`)
      t.same(Object.keys(Object(got.data)), Object.keys(Object(expected.data)), `${what}: in the same order`)
      t.strictSame(got.error?.issues[0]?.message, expected.error?.issues[0]?.message, `${what}: message`)
      if (!expected.success) t.throws(() => stand.parse(value), { name: 'ZodError' })
    }
  }
})

t.test('a default is not shared', async (t) => {
  const { record } = make(quick)
  ;(record.parse(undefined) as Record<string, number>).a = 1
  t.strictSame(record.parse(undefined), {})
  t.ok(Object.isFrozen(make(quick).frozen.parse(['a'])))
})
