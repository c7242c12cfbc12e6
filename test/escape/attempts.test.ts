import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import t from 'tap'
import { attemptFiles } from './all-attempts.ts'

t.test('what is tried', async (t) => {
  const files = await attemptFiles()
  const attempts = files.flatMap((file) => file.attempts)
  t.ok(attempts.length >= 60, `${attempts.length} attempts`)
  t.equal(new Set(attempts.map((one) => one.name)).size, attempts.length, 'each has a name of its own')
  for (const { path, attempts } of files) {
    const [doc = ''] = (await readFile(path, 'utf8')).match(/\/\*\*[\s\S]*?\*\//) ?? []
    t.ok(doc.length > 80, `${basename(path)} says what it tries and why it would matter`)
    t.ok(attempts.length > 0, `${basename(path)} tries something`)
    for (const { name, except, controlNeedsRoot } of attempts)
      for (const reason of [...Object.values(except ?? {}), ...(controlNeedsRoot === undefined ? [] : [controlNeedsRoot])])
        t.ok(reason.length > 15, `${name}: a reason for what is left out`)
  }
})
