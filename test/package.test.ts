import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import t from 'tap'
import { extract } from 'tar-stream'
import { packageRoot } from '../lib/package-root.ts'
import { cli } from './fixtures/cli.ts'

const run = promisify(execFile)

t.test('the tarball, installed in an empty folder', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const { env } = await cli(t)
  // What is in dist is packed as it is: building it is not what is tested here, and would take it from under other tests.
  await run('npm', ['pack', '--ignore-scripts', '--offline', '--pack-destination', folder], { cwd: packageRoot(), env })
  const [tarball = ''] = await readdir(folder)
  const modules = join(folder, 'node_modules')
  const installed = join(modules, 'slotpool')
  const files = await unpack(join(folder, tarball), installed)

  await t.test('holds what it needs and nothing else', async (t) => {
    const bin = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')).bin as Record<string, string>
    for (const file of [
      'README.md',
      'CHANGELOG.md',
      'docs/errors.md',
      'nomad/nomad-dev.hcl',
      'sandbox-image/Dockerfile',
      'dist/lib/index.js',
      'dist/lib/index.d.ts',
      'dist/sandbox-server.js',
      'dist/sandbox-server.cjs',
      'dist/start-cli.cjs',
      'dist/cli.cjs',
      'bin/package.json',
      ...Object.values(bin),
    ]) {
      t.ok(files.includes(file), file)
    }
    t.same(
      files.filter((file) => /^(lib|test|scripts|\.|node_modules)|\.test\.|(?<!\.d)\.ts$|\.tsbuildinfo$|\.cache$/.test(file)),
      [],
    )
    for (const file of Object.values(bin)) t.equal((await lstat(join(installed, file))).mode & 0o111, 0o111, `${file} can be run`)
  })

  // Its dependencies, and no other package, are linked to where they are.
  const { dependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  for (const name of Object.keys(dependencies)) await symlink(join(packageRoot(), 'node_modules', name), join(modules, name))
  await mkdir(join(modules, '.bin'))
  await symlink('../slotpool/bin/slotpool.js', join(modules, '.bin', 'slotpool'))

  await t.test('runs a command', async (t) => {
    const { stdout, stderr } = await run('npx', ['--offline', 'slotpool', 'exec', 'echo hello'], { cwd: folder, env })
    t.equal(stdout, 'hello\n')
    t.equal(stderr.replaceAll(/^npm warn .*\n/gm, ''), '')
  })

  await t.test('is imported', async (t) => {
    const script = `
      import { SlotPool, terminalTool, closeTerminal } from 'slotpool'
      import { FakeBackend } from 'slotpool/fake'
      const backend = new FakeBackend({ script: ({ command }) => ({ stdout: 'ran ' + command }) })
      const pool = await SlotPool.open({ backend })
      const fake = await pool.withSlot('a', (slot) => slot.exec('it'))
      await pool.down()
      const real = await terminalTool('echo hello')
      await closeTerminal()
      console.log(JSON.stringify([fake.stdout, real]))
    `
    await writeFile(join(folder, 'script.mjs'), script)
    const { stdout } = await run(process.execPath, ['script.mjs'], { cwd: folder, env })
    t.same(JSON.parse(stdout), ['ran it', { output: 'hello\n', exit_code: 0, error: null }])
  })
})

/** Unpacks a tarball of npm; resolves with the paths of its files. */
async function unpack(tarball: string, into: string): Promise<string[]> {
  const files: string[] = []
  const tar = extract()
  createReadStream(tarball).pipe(createGunzip()).pipe(tar)
  for await (const entry of tar) {
    const path = entry.header.name.replace(/^package\//, '')
    await mkdir(join(into, path, '..'), { recursive: true })
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    await writeFile(join(into, path), Buffer.concat(chunks), { mode: entry.header.mode })
    files.push(path)
  }
  return files
}
