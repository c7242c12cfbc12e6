import t from 'tap'
import { checkFilePath } from '../../lib/wire/file-path.ts'

t.test('paths that can be none', async (t) => {
  for (const path of ['', 'a\0b', '\ud800', 'x'.repeat(4096), '€'.repeat(1366)])
    t.throws(() => checkFilePath(path), { code: 'FILE_FAILED' })
})

t.test('paths that may be one', async (t) => {
  for (const path of ['a', '-rf', '../a b', '/workspace/ä\n', 'x'.repeat(4095)]) t.doesNotThrow(() => checkFilePath(path))
})
