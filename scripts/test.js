// The test command: builds, checks (format, lint, types, import order), runs every test file, and ends with one line for all of them:
// `N passed, N failed, N skipped`. Arguments are test files or folders; without any it runs all. Exits 0 only when nothing failed.
import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiledPath, compileSources } from './compile-sources.js'
import { runTestFiles } from './run-test-files.js'
import { TestResults } from './test-results.js'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

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

// The end of the log has all of it; whoever sees only its beginning must find the names.
const results = new TestResults((path) => console.log(`not ok: ${path.join(' > ')}`))
const built = (await step('build', process.execPath, ['scripts/build.js'])) && (await step('check', 'npm', ['run', '--silent', 'check']))
if (built) results.passed++
else results.fail(['build and check'], 'see above')

const named = process.argv.slice(2)
const sources = (named.length > 0 ? named : ['test']).flatMap((path) => (statSync(path).isDirectory() ? testFiles(path) : [path]))
await compileSources()
// tap compiles itself for the plugins that .taprc asks for. Left to the first test file, the others would start with half of it.
await step('tap', 'node_modules/.bin/tap', ['build'])

console.log('\n# tests')
const files = sources.map((name) => ({ name, path: compiledPath(name) }))
const ends = []
await runTestFiles(files, {
  results,
  onEnd: (end) => {
    ends.push(end)
    if (end.wrong !== null) results.fail([end.name], end.wrong)
  },
})
const slowest = ends.sort((a, b) => b.seconds - a.seconds).slice(0, 20)
for (const { name, seconds } of slowest) console.log(`${seconds.toFixed(1).padStart(6)} s  ${name}`)
for (const line of results.lines()) console.log(line)
process.exitCode = results.failed === 0 ? 0 : 1
