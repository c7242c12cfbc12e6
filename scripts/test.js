// The test command: builds, checks (format, lint, types, import order), runs every test file, and ends with one line for all of them:
// `N passed, N failed, N skipped`. Arguments are test files or folders; without any it runs all. Exits 0 only when nothing failed.
import { spawn } from 'node:child_process'
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'
import { compiledFolder, compiledPath, compileSources } from './compile-sources.js'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const counts = { passed: 0, failed: 0, skipped: 0 }
const skips = new Set()
const failures = []

/** Runs a step with its output shown; resolves with whether it exited with 0. */
function step(name, file, args) {
  console.log(`\n# ${name}`)
  return new Promise((resolve) => {
    spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] })
      .once('error', (error) => {
        console.error(error.message)
        resolve(false)
      })
      .once('exit', (code) => resolve(code === 0))
  })
}

/** The test files below a folder. */
function testFiles(folder) {
  const names = readdirSync(folder, { recursive: true })
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join(folder, name))
}

/** Counts the assertions of a TAP stream, those of nested tests one by one and never a test that only sums others up. */
function count(parser, path) {
  let childOk
  parser.on('child', (child) => {
    count(child, [...path, child.name])
    child.on('complete', (results) => {
      childOk = results.ok
    })
  })
  parser.on('assert', (result) => {
    const closes = childOk !== undefined
    // The point that closes a subtest comes after it; it says something new only where the subtest itself saw nothing wrong.
    const saidBefore = closes && result.ok === childOk
    childOk = undefined
    if (saidBefore) return
    if (result.skip) {
      counts.skipped++
      skips.add(typeof result.skip === 'string' ? result.skip : result.name)
    } else if (result.ok || result.todo) counts.passed++
    else {
      counts.failed++
      failures.push({ path: [...path, result.name], diagnostic: result.diag })
    }
  })
}

const built = (await step('build', process.execPath, ['scripts/build.js'])) && (await step('check', 'npm', ['run', '--silent', 'check']))
if (built) counts.passed++
else counts.failed++

const folder = mkdtempSync(join(tmpdir(), 'slotpool-tap-'))
try {
  const named = process.argv.slice(2)
  const files = (named.length > 0 ? named : ['test']).flatMap((path) => (statSync(path).isDirectory() ? testFiles(path) : [path]))
  await compileSources()
  // tap compiles itself for the plugins that .taprc asks for. Left to the first test file, the others would start with half of it.
  await step('tap', 'node_modules/.bin/tap', ['build'])
  const ok = await step('tests', 'node_modules/.bin/tap', [
    process.stdout.isTTY ? '--reporter=terse' : '--reporter=min',
    `--output-dir=${folder}`,
    '--allow-empty-coverage',
    ...files.map(compiledPath),
  ])
  const before = counts.failed
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.tap')) continue
    const parser = new Parser()
    count(parser, [relative(join(folder, compiledFolder), join(entry.parentPath, entry.name)).replace(/\.js\.tap$/, '')])
    createReadStream(join(entry.parentPath, entry.name)).pipe(parser)
    await new Promise((resolve) => parser.on('complete', resolve))
  }
  // A file that could not be run has no assertion that could have failed.
  if (!ok && counts.failed === before) counts.failed++
} finally {
  rmSync(folder, { recursive: true, force: true })
}

// The reporter showed each failure when it came; whoever reads the end of a log alone must find them, too.
for (const { path, diagnostic } of failures)
  console.log(`failed: ${path.join(' > ')}\n${inspect(diagnostic, { depth: 6, maxStringLength: 2_000 })}`)
for (const reason of skips) console.log(`skipped: ${reason}`)
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1
