import t from 'tap'
import { parseReference, wholeReference } from '../../../lib/backend/registry/image-reference.ts'

const digest = `sha256:${'a1'.repeat(32)}`

t.test('references mean what they mean to Docker', async (t) => {
  for (const [text, whole] of [
    ['debian', 'docker.io/library/debian:latest'],
    ['debian:12', 'docker.io/library/debian:12'],
    ['slotpool/sandbox:0.1', 'docker.io/slotpool/sandbox:0.1'],
    ['index.docker.io/a/b', 'docker.io/a/b:latest'],
    ['localhost/a', 'localhost/a:latest'],
    ['localhost:5000/a:b', 'localhost:5000/a:b'],
    ['[::1]:5000/a', '[::1]:5000/a:latest'],
    ['ghcr.io/a/b/c__d:X.y-z_1', 'ghcr.io/a/b/c__d:X.y-z_1'],
    [`a@${digest}`, `docker.io/library/a@${digest}`],
    [`h.example/a:t@${digest}`, `h.example/a:t@${digest}`],
  ] as const) {
    t.equal(wholeReference(text), whole)
    t.equal(wholeReference(whole), whole)
  }
  t.match(parseReference('a/b'), { host: 'docker.io', namesHost: false })
  t.match(parseReference('a.b/c'), { host: 'a.b', namesHost: true })
})

t.test('what is none is refused', async (t) => {
  const bad = [
    '',
    'A',
    'a//b',
    'a/',
    '/a',
    'a b',
    'a:',
    'a:-x',
    'a@sha256:1',
    'a..b',
    '-a',
    'http://h/a',
    'h.example/A',
    `a:${'x'.repeat(129)}`,
    'x'.repeat(300),
    'h.example:99999/a',
    '1.2.3.999/a',
    'h.1/a',
    '[::1::]:5000/a',
  ]
  for (const text of bad) t.throws(() => parseReference(text), { code: 'USAGE', message: /expected \[HOST\[:PORT\]\/\]NAME/ }, text)
})
