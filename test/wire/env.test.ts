import t from 'tap'
import { checkEnv } from '../../lib/wire/env.ts'

t.test('what can be in an environment', async () => {
  checkEnv({})
  checkEnv({ A: '', 'a.b': '=', 'BASH_FUNC_f%%': '() { :; }', ä: 'ö\n', ' ': ' ' })
})

t.test('what cannot, named, and its value never told', async (t) => {
  for (const [name, value] of [
    ['', 'secret'],
    ['A=B', 'secret'],
    ['A\0', 'secret'],
    ['\ud800', 'secret'],
    ['A', 'secret\0'],
    ['A', 'secret\udc00'],
  ] as const) {
    try {
      checkEnv({ FINE: 'x', [name]: value })
      t.fail(JSON.stringify(name))
    } catch (error) {
      t.match(error, { code: 'ENV_INVALID', details: { name } })
      t.notMatch((error as Error).message, 'secret')
    }
  }
})
