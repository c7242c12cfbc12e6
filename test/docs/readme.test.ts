import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { loadConfig } from '../../lib/config.ts'
import { packageRoot } from '../../lib/package-root.ts'
import { cli } from '../fixtures/cli.ts'

const readme = readFileSync(join(packageRoot(), 'README.md'), 'utf8')
const contributing = readFileSync(join(packageRoot(), 'CONTRIBUTING.md'), 'utf8')
const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'))

/** What stands below a heading, up to the next. */
function section(heading: string): string {
  return readme.split(/^## /m).find((one) => one.startsWith(`${heading}\n`)) ?? ''
}

/** The code blocks of a language, in order. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, code]) => code as string)
}

/** The commands of a console block, each with what is printed below it. */
function commands(block: string): { command: string; printed: string }[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((one) => {
      const [command = '', ...printed] = one.split('\n')
      return { command: command.replace(/\s+# .*$/, ''), printed: printed.join('\n') }
    })
}

/** Times, ids and the like are another each time; a column may be wider for them. */
function stable(text: string): string {
  return (
    text
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/^ {2}[0-9a-f]{8}-[0-9a-f]{3} {2}\S+ {2}ready.*$/gm, '  ID  NODE  ready')
      .replaceAll(/slot \d+ {2}/g, 'slot N  ')
      .replaceAll(/isolation (jail|uid), root [a-z-]+, network [a-z]+/g, 'IN FORCE')
      // What a slot may use, and why it has not the network that was asked for.
      .replaceAll(/^ {2}(each slot|network): .*\n/gm, '')
  )
}

t.test('the commands of the local sections print what the page says', async (t) => {
  const { bash, pool } = await cli(t, { TERMINAL_NOMAD_SLOTS: '10' })
  const [tour = ''] = blocks(section('A task keeps its slot'), 'console')
  t.ok(commands(tour).length >= 6)
  const [shown = ''] = blocks(section('What a slot is'), 'console')
  for (const { command, printed } of [...commands(tour), ...commands(shown)]) {
    const { code, stdout, stderr } = await bash(`exec 2>&1; ${command.replaceAll('npx slotpool', 'slotpool')}`)
    t.equal(code, 0, command)
    // The tests have a pool of their own, and a slot's workspace has its own name where there is no jail.
    const output = `${stdout}${stderr}`.replaceAll(pool, 'default').replace(/^\/.*\/workspace$/m, '/workspace')
    t.equal(stable(output), stable(printed), command)
  }
})

t.test('the two commands of the start', async (t) => {
  const [hello = '', tests = '', doctor = ''] = blocks(section('Start'), 'console')
  t.same(commands(hello), [{ command: 'npm ci && npm run --silent hello', printed: 'hello\n' }])
  t.same(commands(tests), [{ command: 'npm test', printed: '' }])
  t.equal(commands(doctor)[0]?.command, 'npx slotpool doctor')
  const { bash } = await cli(t)
  const { stdout } = await bash(`cd '${packageRoot()}' && npm run --silent hello`)
  t.equal(stdout, 'hello\n')
})

t.test('the programs compile', async (t) => {
  const programs = blocks(readme, 'ts')
  t.ok(programs.length >= 3)
  // Within the package, so that its own name leads to it.
  const parent = join(packageRoot(), '.tap')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'readme-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  for (const [at, program] of programs.entries()) writeFileSync(join(folder, `program-${at}.mts`), program)
  // An example need not use all that it shows.
  const compilerOptions = { noEmit: true, rootDir: packageRoot(), types: ['node'], noUnusedLocals: false }
  const extended = join(packageRoot(), 'tsconfig.json')
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: extended, compilerOptions, include: ['*.mts'] }))
  const tsc = join(packageRoot(), 'node_modules', '.bin', 'tsc')
  // tap's watch over child processes keeps the compiler from starting.
  const compiling = promisify(execFile)('env', ['-u', 'NODE_OPTIONS', process.execPath, tsc, '-p', folder])
  const { code = 0, stdout, stderr } = await compiling.catch((error) => error)
  t.same({ code, stdout, stderr }, { code: 0, stdout: '', stderr: '' })
})

t.test('every setting is in the table, with its default', async (t) => {
  const config = loadConfig({}, {})
  const defaults: Record<string, string> = {
    TERMINAL_ENV: config.env,
    TERMINAL_NOMAD_ADDRESS: config.nomad.address,
    TERMINAL_NOMAD_DRIVER: config.nomad.driver,
    TERMINAL_NOMAD_IMAGE: config.image,
    TERMINAL_TOOLS_IMAGE: 'none',
    TERMINAL_NOMAD_SLOTS: String(config.slots),
    TERMINAL_NOMAD_MIN: String(config.min),
    TERMINAL_NOMAD_MAX: String(config.max),
    TERMINAL_NOMAD_AUTOSTART: config.nomad.autostart ? '1' : '0',
    TERMINAL_NOMAD_FALLBACK: config.nomad.fallback,
    // These go into the job only where somebody asks for them.
    TERMINAL_NOMAD_DATACENTERS: '*',
    TERMINAL_NOMAD_NODE_POOL: 'default',
    TERMINAL_NOMAD_CONSTRAINTS: 'none',
    TERMINAL_NOMAD_PRIORITY: '50',
    TERMINAL_NOMAD_CPU_MHZ: '100',
    TERMINAL_NOMAD_CORES: 'none',
    TERMINAL_NOMAD_MEMORY_MB: '512',
    TERMINAL_NOMAD_MEMORY_MAX_MB: '1,024 a slot more',
    TERMINAL_POOL: config.pool,
    TERMINAL_ISOLATION: config.isolation,
    TERMINAL_NETWORK: config.network,
    TERMINAL_NETWORK_ALLOW: 'none',
    // These the server chooses by what its container has.
    TERMINAL_LIMIT_MEMORY_MB: "three quarters of the container's",
    TERMINAL_LIMIT_PROCESSES: '1024',
    TERMINAL_LIMIT_CPU_WEIGHT: '100',
    TERMINAL_LIMIT_OPEN_FILES: '65536',
    TERMINAL_LIMIT_DISK_MB: 'half of what is free',
    TERMINAL_LIMIT_OUTPUT_MB: 'none',
    TERMINAL_MOUNTS: 'none',
    TERMINAL_MOUNT_ALLOW: 'none',
    TERMINAL_TIMEOUT: String(config.timeoutMs / 1000),
    TERMINAL_LIFETIME_SECONDS: String(config.lifetimeMs / 1000),
    TERMINAL_SCALE_DOWN_SECONDS: String(config.scaleDownMs / 1000),
    TERMINAL_MAX_WAITING: String(config.maxWaiting),
    TERMINAL_CWD: config.cwd ?? 'the workspace',
    TERMINAL_MAX_REUSES: config.maxReuses === undefined ? 'no bound' : String(config.maxReuses),
    TERMINAL_DRAIN_SECONDS: String(config.drainMs / 1000),
  }
  const rows: [string, string][] = []
  for (const [, names = '', values = ''] of readme.matchAll(/^\| (`TERMINAL_[^|]*) \| ([^|]*) \|/gm)) {
    const shown = values.split(', ')
    names.split(', ').forEach((name, at) => {
      rows.push([name.replaceAll('`', ''), /^`([^`]*)`/.exec(shown[at] ?? '')?.[1] ?? (shown[at] as string)])
    })
  }
  t.same(Object.fromEntries(rows), defaults)
  t.equal(loadConfig({ nomad: { address: 'http://nomad.example:4646' } }, {}).nomad.fallback, 'none', 'as the row of the fallback says')
  const known = knownVariables()
  t.same(rows.map(([name]) => name).sort(), known.sort())
})

t.test('CONTRIBUTING names every dependency with its reason, and no other', async (t) => {
  const table = contributing.split('## Dependencies')[1] ?? ''
  const rows = [...table.matchAll(/^\| (`[^|]*) \| ([^|]+) \|$/gm)]
  const named = rows.flatMap(([, names = '']) => [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string))
  // Types are of the package that they describe.
  const used = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)].filter(
    (name) => !name.startsWith('@types/'),
  )
  t.same(named.sort(), used.sort())
})

/** The table of settings is nobody else's business: the error for an unknown one names them all. */
function knownVariables(): string[] {
  try {
    loadConfig({}, { TERMINAL_: '' })
  } catch (error) {
    return /expected one of (.*);/.exec((error as Error).message)?.[1]?.split(', ') ?? []
  }
  return []
}
