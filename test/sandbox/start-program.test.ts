import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { sandboxServerBundle } from '../../lib/package-root.ts'

/** A copy of what the build made, without a code cache, and with temporary files in a folder of its own. */
async function copyOf(t: Test) {
  const folder = t.testdir()
  // A socket's path may be 107 bytes long, which tap's own folders use up.
  const temporary = await mkdtemp(join(tmpdir(), 'slotpool-'))
  t.teardown(() => rm(temporary, { recursive: true }))
  for (const name of ['sandbox-server.js', 'sandbox-server.cjs'])
    await copyFile(join(dirname(sandboxServerBundle()), name), join(folder, name))
  // As in an image, where no package.json says what the files are, but for a warning of newer versions of Node.
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [join(folder, 'sandbox-server.js'), ...args], {
      env: { ...process.env, TMPDIR: temporary },
    })
  return { temporary, run, cache: join(folder, 'sandbox-server.cache') }
}

t.test('the program says the same with a code cache, without one, and with one of another program', async (t) => {
  const { temporary, run, cache } = await copyOf(t)
  const complaint = { code: 1, stderr: /slotpool-error: \{"code":"USAGE","message":"Unknown option '--wrong'/ }
  await t.rejects(run('--wrong'), complaint)

  await run('--write-code-cache')
  t.same(await readdir(temporary), [], 'nothing is left of the server that was run for it')
  await t.rejects(run('--wrong'), complaint)

  const bytes = await readFile(cache)
  t.ok(bytes.length > 100_000)
  await writeFile(cache, Buffer.concat([bytes.subarray(0, bytes.indexOf('\n') + 1), Buffer.from('made by another version of V8')]))
  await t.rejects(run('--wrong'), complaint)
  bytes[3] = (bytes[3] as number) ^ 1
  await writeFile(cache, bytes)
  await t.rejects(run('--wrong'), complaint)
})
