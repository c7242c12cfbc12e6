import { readdirSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { readOrMakeToken, removeToken, tokenPath } from '../../lib/backend/token-file.ts'

t.test('all who ask at the same time get the same token, and nothing else is left in the folder', async (t) => {
  const folder = t.testdir({})
  const tokens = await Promise.all(Array.from({ length: 30 }, () => readOrMakeToken(folder)))
  t.equal(new Set(tokens).size, 1)
  t.match(tokens[0], /^[A-Za-z0-9_-]{43}$/)
  t.same(readdirSync(folder), ['token'])
  t.equal(statSync(tokenPath(folder)).mode & 0o777, 0o600)
  t.equal(await readOrMakeToken(folder), tokens[0], 'and later the same')
})

t.test('a token that is removed is gone, and the next one is another', async (t) => {
  const folder = t.testdir({})
  const first = await readOrMakeToken(folder)
  await removeToken(folder)
  t.same(readdirSync(folder), [])
  t.not(await readOrMakeToken(folder), first)
  await removeToken(t.testdir({}))
})

t.test('a file that holds no token is refused, not replaced', async (t) => {
  const folder = t.testdir({})
  writeFileSync(tokenPath(folder), 'short')
  await t.rejects(readOrMakeToken(folder), { code: 'BACKEND_UNAVAILABLE', message: /holds 5 bytes that are no token; expected 43/ })
})

t.test('a folder that is not there is an error that names the file', async (t) => {
  await t.rejects(readOrMakeToken('/nonexistent'), { code: 'BACKEND_UNAVAILABLE', message: /\/nonexistent\/token/ })
})
