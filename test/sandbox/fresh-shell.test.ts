import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { execute } from '../../lib/client/execute.ts'
import type { SlotpoolError } from '../../lib/errors.ts'
import type { Execution } from '../../lib/sandbox/execution.ts'
import { JailRuntime } from '../../lib/sandbox/jail-runtime.ts'
import type { Slot } from '../../lib/sandbox/slots.ts'
import type { CheckedExecutionRequest, ExecutionRequest } from '../../lib/wire/execution.ts'
import { ran, type ServerUnderTest, sandboxServer } from '../fixtures/sandbox-server.ts'

const asRoot = process.geteuid?.() === 0

t.setTimeout(120_000)

/**
 * How a command's bash comes into being: it has been made ready before the command came, or the slot's fork server forks it, or a chain of
 * programs starts it, each of them fresh.
 */
type Way = 'ready' | 'forked' | 'spawned'
const ways = ['ready', 'forked', 'spawned'] as const

/** Executions whose id begins with an `f` or an `s` are started in that way, in the same slot and under the same terms. */
class EachWay extends JailRuntime {
  readonly #slots = new Map<Slot, Record<'f' | 's', Slot>>()

  override execution(id: string, request: CheckedExecutionRequest, slot: Slot): Execution {
    const way = id[0]
    return super.execution(id, request, way === 'f' || way === 's' ? this.#startedAnew(slot)[way] : slot)
  }

  #startedAnew(slot: Slot): Record<'f' | 's', Slot> {
    const { jail } = slot
    const anew = this.#slots.get(slot) ?? {
      f: { ...slot, jail: but(jail, 'forkServer', jail.forkServer && but(jail.forkServer, 'unfit', 'this one is to fork')) },
      s: { ...slot, jail: but(jail, 'forkServer', undefined) },
    }
    this.#slots.set(slot, anew)
    return anew
  }
}

/** The same object but for one property. */
function but<T extends object>(whole: T, property: keyof T, instead: unknown): T {
  return new Proxy(whole, {
    get: (target, name) => {
      if (name === property) return instead
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A script, and what it is run with. */
interface Sample {
  script: string
  request?: Partial<ExecutionRequest>
  /** Run before it, in its folder. */
  before?: string
}

/** What can be seen of a script that was run. */
interface Seen {
  stdout: string
  stderr: string
  exitCode?: number | null
  signal?: string | null
  limit?: string | null
  timedOut?: boolean
  skippedEnv?: string[]
  error?: string
}

const folder = '/workspace/here'
const slots = 6

/** Scripts by topic. In the file `# ` begins a topic and any other line a script, which goes on in the lines that begin with a tab. */
function samplesByTopic(): Map<string, Sample[]> {
  const topics = new Map<string, Sample[]>()
  let samples: Sample[] = []
  for (const line of readFileSync(new URL('fresh-shell-scripts.txt', import.meta.url), 'utf8').split('\n')) {
    const last = samples.at(-1)
    if (line.startsWith('# ')) {
      samples = []
      topics.set(line.slice(2), samples)
    } else if (line.startsWith('\t') && last) last.script += `\n${line.slice(1)}`
    else if (line !== '') samples.push({ script: line })
  }
  return topics
}

const tooLong = 'echo "$BIG" | tail -c 1'
const environment = 'tr "\\0" "\\n" < /proc/$$/environ; env -0; declare -p | grep -E "ODD|EMPTY|PATH|PWD" '

/** Scripts that are about what comes with them. */
const requests: Sample[] = [
  { script: environment, request: { env: { ODD: ' a\n"b" $HOME \\ ä\t', EMPTY: '', 'a.b': 'c', '1x': 'y', 'with space': 'z', ä: 'ö' } } },
  { script: environment, request: { env: { 'new\nline': 'x\n', ODD: '=a=b=\n', _: 'mine', '': 'nameless' } } },
  { script: 'env -0 | sort -z', request: { env: { ODD: '\u{1f600}\u0001\u007f\u00ff', '*': '*', '-u': 'x', '--': 'y' } } },
  { script: 'hello; type hello; env', request: { env: { 'BASH_FUNC_hello%%': '() { echo hello "$0"; }', 'BASH_FUNC_bad%%': 'x' } } },
  { script: environment, request: { env: { PATH: '/nowhere' }, allowEnv: ['PATH'] } },
  { script: environment, request: { env: { PWD: '/', OLDPWD: '/tmp', HOME: '/missing' }, allowEnv: ['HOME'] } },
  { script: environment, request: { env: { PWD: 'odd', OLDPWD: '/missing' } } },
  { script: 'echo "$SHLVL $0 $_"; env | grep SHLVL', request: { env: { SHLVL: '7', _: 'x' } } },
  { script: 'echo "$SHLVL"', request: { env: { SHLVL: '999' } } },
  { script: 'echo "$SHLVL"', request: { env: { SHLVL: 'odd' } } },
  { script: 'echo hello', request: { env: { SHELLOPTS: 'xtrace:errexit' } } },
  { script: 'shopt | grep on$', request: { env: { BASHOPTS: 'nullglob:extglob' } } },
  { script: 'set -o | grep posix; trap "" 99', request: { env: { POSIXLY_CORRECT: '1' } } },
  { script: 'echo "$PPID $UID $EUID $BASHPID" | wc -w; echo $?', request: { env: { PPID: '1', UID: '9', EUID: '8', BASHPID: '3' } } },
  { script: 'echo main', request: { env: { BASH_ENV: './rc' } }, before: 'echo "echo rc \\$0 \\$BASH_ENV" > rc' },
  { script: 'echo main', request: { env: { BASH_ENV: './missing' } } },
  { script: 'echo main', request: { env: { ENV: './rc' } }, before: 'echo "echo rc" > rc' },
  { script: 'rm ~/.bashrc ~/.bash_profile; echo main', before: 'echo "echo rc" | tee ~/.bashrc > ~/.bash_profile' },
  { script: 'x="a,b"; printf "<%s>" $x; echo "$IFS" | od -c', request: { env: { IFS: ',' } } },
  { script: 'echo "$PS4"; set -x; :', request: { env: { PS4: '> ', BASH_XTRACEFD: '1' } } },
  { script: 'ls; echo *', request: { env: { GLOBIGNORE: 'a' } }, before: 'touch a b' },
  { script: 'cd sub; pwd', request: { env: { CDPATH: '/usr:/' } }, before: 'mkdir sub' },
  { script: 'echo $LC_ALL; printf ä | wc -m', request: { env: { LC_ALL: 'xx_XX.UTF-8' } } },
  { script: 'printf ä | wc -m; locale', request: { env: { LC_ALL: 'C', LANGUAGE: 'de' } } },
  { script: 'date +%Z', request: { env: { TZ: 'Asia/Tokyo' } } },
  { script: 'echo one; cat /dev/null', request: { env: { LD_PRELOAD: '/nowhere/library.so' } } },
  { script: 'perl -e "print 1"', request: { env: { PERL5OPT: '-MNothing', PERL5LIB: '/nowhere' } } },
  { script: 'echo one', request: { env: { PERL5OPT: '-MNothing', PERL_UNICODE: 'SDA', PERLIO: ':crlf' } } },
  {
    script: 'echo "$LINENO $RANDOM" | wc -w; [ $SECONDS -ge 50 ]; echo $?',
    request: { env: { LINENO: '70', RANDOM: '5', SECONDS: '50' } },
  },
  { script: 'echo "$BASH_EXECUTION_STRING$BASH"', request: { env: { BASH_EXECUTION_STRING: 'x', BASH: 'y', BASH_ARGV0: 'z' } } },
  { script: 'echo $SECRET $SLOTPOOL_EXECUTION_ID', request: { env: { AWS_X: '1', SLOTPOOL_EXECUTION_ID: 'mine', SECRET: 's' } } },
  { script: 'echo "$BIG" | wc -c', request: { env: { BIG: 'x'.repeat(131_000) } } },
  { script: tooLong, request: { env: { BIG: 'x'.repeat(131_072) } } },
  {
    script: 'env | wc -l',
    request: { env: Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`NAME_${index}`, `${index}`])) },
  },
  { script: environment, request: { env: Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`N${index}`, ''])) } },
  { script: `: '${'x'.repeat(131_066)}'; echo`, request: {} },
  { script: `: '${'x'.repeat(131_060)}'; echo`, request: {} },
  ...[0, 9].map((index) => ({
    script: 'echo $(env | wc -c)',
    request: { env: Object.fromEntries(Array.from({ length: index + 3 }, (_, one) => [`BIG_${one}`, 'x'.repeat(100_000)])) },
  })),
  { script: '', request: {} },
  { script: '\n\n', request: {} },
  { script: 'echo a\r\necho b\r', request: {} },
  { script: 'echo "\u0001\u007f\u{10ffff}ä" | od -c', request: {} },
  { script: 'echo out; echo err >&2; echo out; nothing-such; echo $?', request: { mergeStderr: true } },
  {
    script: 'for fd in 1 2; do stat -Lc %F /proc/$$/fd/$fd; done; [ /proc/$$/fd/1 -ef /proc/$$/fd/2 ] && echo one',
    request: { mergeStderr: true },
  },
  { script: 'for i in $(seq 1 500); do echo $i; echo $i >&2; done', request: { mergeStderr: true } },
  { script: 'echo x > /dev/stderr; echo y > /dev/stdout', request: { mergeStderr: true } },
  { script: 'if', request: { mergeStderr: true } },
]

const where = 'echo "$PWD"; pwd; pwd -P; declare -p OLDPWD; readlink /proc/$$/cwd; cd .. && pwd'

/** Where a script starts, below its folder. {@link lay} has made what there is of it. */
const places = [
  ...['sub', 'sub/', 'sub/.', './sub', 'sub/..', 'sub/below/..', 'sub/below/../..', '.', './', '..', 'sub//below', '///'],
  ...['link', 'link/', 'link/..', 'link/../sub', 'link/.', 'deep', 'deep/..', 'deep/../below', 'deep/./../../here', 'loop', 'loop/..'],
  ...['missing', 'missing/..', 'missing/../sub', 'file', 'file/..', 'file/.', 'dangling', 'dangling/..', 'sub/missing', 'link/missing'],
  ...['a\nb', 'with space', 'ä', '-', '-P', '~', '*', 'sub/'.repeat(3), './'.repeat(2000), 'x'.repeat(256), 'x/'.repeat(2000)],
]
const absolute = ['/', '//', '///', '/.', '/..', '//tmp', '///tmp', '/tmp', '/tmp/', '/proc/1/root', '/proc/self/root/tmp', '/etc/passwd']
const lay =
  'mkdir -p sub/below "a\nb" "with space" ä ./- ./-P ./~ "./*"; ln -s sub link; ln -s sub/below deep; ln -s loop loop; ln -s nowhere dangling; : > file'

function placed(): Sample[] {
  const relative = ['.', '..', './', 'here', 'here/sub/..']
  return [
    ...[...places.map((place) => `${folder}/${place}`), ...absolute, ...relative].map((cwd) => ({
      script: where,
      request: { cwd },
      before: lay,
    })),
    ...[`${folder}/link`, `${folder}/link/..`].map((cwd) => ({ script: where, request: { cwd, env: { PWD: '/workspace' } }, before: lay })),
  ]
}

/** What differs between any two runs, whatever the way. */
function normalised(text: string): string {
  return text
    .replace(/\b[rfs]-\d+\b/g, 'EXECUTION')
    .replace(/((?:pipe|socket):\[)\d+/g, '$1N')
    .replace(/^(\[\d+\][+-]? )\d+$/gm, '$1PID')
    .replace(/(line \d+: ) *\d+ ([A-Z])/g, '$1PID $2')
    .replace(/^(\[\d+\][+-]?) +\d+ ([A-Z])/gm, '$1 PID $2')
}

let executions = 0

async function look({ client }: ServerUnderTest, leaseId: string, way: Way, { script, request }: Sample): Promise<Seen> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  const gathered = (chunks: Buffer[]): string => {
    const bytes = Buffer.concat(chunks)
    // Without loss, and of what is long no more than a mark.
    return bytes.length > 20_000
      ? `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')}`
      : normalised(bytes.toString('latin1'))
  }
  const streams = () => ({ stdout: gathered(out), stderr: gathered(err) })
  try {
    const { exitCode, signal, limit, timedOut, skippedEnv } = await execute(client, {
      leaseId,
      executionId: `${way[0]}-${1_000_000 + executions++}`,
      request: { command: script, timeoutMs: 20_000, cwd: folder, ...request },
      sink: {
        onStdout: (chunk) => void out.push(Buffer.from(chunk)),
        onStderr: (chunk) => void err.push(Buffer.from(chunk)),
        onGap: () => {},
      },
    })
    return { ...streams(), exitCode, signal, limit, timedOut, skippedEnv }
  } catch (error) {
    const { code, message, details } = error as SlotpoolError
    return { ...streams(), error: `${code} ${message} ${JSON.stringify(details)}` }
  }
}

/** A script that leaves something behind which the next one could see. */
const leavesSomething = /[>&]|touch|mkdir|ulimit|rmdir|setsid/

/** Runs each in all ways, in the same slot, one after the other; several slots at once. */
async function lookEachWay(
  one: ServerUnderTest,
  leaseIds: readonly string[],
  samples: readonly Sample[],
): Promise<Map<Sample, Record<Way, Seen>>> {
  const seen = new Map<Sample, Record<Way, Seen>>()
  const rest = [...samples]
  const work = async (leaseId: string): Promise<void> => {
    // What keeps the slot may be its user's to end.
    const kept = 'for one in /proc/[0-9]*; do [ $one = /proc/$$ ] || printf "%s|" $one; done'
    const keepers = (await ran(one.client, leaseId, `mkdir ${folder}; ${kept}`)).stdout
    const endOthers = `for one in /proc/[0-9]*; do case $one in ${keepers}/proc/$$) ;; *) kill -9 "\${one#/proc/}";; esac; done 2> /dev/null`
    for (let sample = rest.shift(); sample; sample = rest.shift()) {
      const { before = ':', script } = sample
      const reset = `${endOthers}; rm -rf ${folder}; mkdir ${folder} && cd ${folder} && ${before}`
      const looks: Partial<Record<Way, Seen>> = {}
      for (const way of ways) {
        if (sample.before !== undefined || leavesSomething.test(script)) await ran(one.client, leaseId, reset)
        if (way === 'ready') await look(one, leaseId, way, { ...sample, script: ':' })
        looks[way] = await look(one, leaseId, way, sample)
      }
      if (leavesSomething.test(script)) await ran(one.client, leaseId, reset)
      seen.set(sample, looks as Record<Way, Seen>)
    }
  }
  await Promise.all(leaseIds.map(work))
  return seen
}

/** What the chain of programs does not do as a fresh shell would. */
const knownOfSpawned = new Map<string, Partial<Seen>>([
  // Its own complaint, written where the command would have written.
  [tooLong, { stderr: '' }],
])

const waits = /.*# waits for the next command.*\n/g

/** What is known to tell a shell that waited for its command from a fresh one (`docs/protocol.md`), by the start of the script; it is left out. */
const knownOfReady: [start: RegExp, same: (seen: Seen) => Partial<Seen>][] = [
  [/^(declare -p|set) \|/, (seen) => ({ stdout: seen.stdout.replace(/^(declare -a )?(BASH_ARGC|PIPESTATUS)=.*\n/gm, '') })],
  [/< \/proc\/\$\$\/cmdline/, (seen) => ({ stdout: seen.stdout.replace(/\n+/g, '\n') })],
  [/^ps -e /, (seen) => ({ stdout: seen.stdout.replace(waits, '') })],
  [/^kill -9 -1;/, () => ({ stdout: '', stderr: '' })],
]

function exceptKnown(script: string, seen: Seen): Seen {
  const same = knownOfReady.find(([start]) => start.test(script))?.[1]
  return { ...seen, ...same?.(seen) }
}

t.test('a shell that was made ready, or forked, is as one that was started afresh', async (t) => {
  const one = await sandboxServer(t, { isolation: 'jail', slots, runtime: EachWay })
  const leaseIds = await Promise.all(Array.from({ length: slots }, async (_, index) => (await one.lease(`${index}`)).leaseId))
  const topics = samplesByTopic()
  topics.set('What comes with it', requests)
  topics.set('Where it starts', placed())
  // Root of a slot is not who keeps it.
  if (asRoot) topics.get('Ends')?.push({ script: 'kill -9 -1; echo $?' })
  const samples = [...topics.values()].flat()
  t.ok(samples.length > 400, `${samples.length} scripts`)
  const seen = await lookEachWay(one, leaseIds, samples)
  for (const [topic, samples] of topics) {
    t.test(topic, async (t) => {
      for (const sample of samples) {
        const { script, request } = sample
        const { ready, forked, spawned } = seen.get(sample) as Record<Way, Seen>
        const fresh = { ...spawned, ...knownOfSpawned.get(script) }
        const name = `${script.slice(0, 200)}${request ? ` ${JSON.stringify(request).slice(0, 200)}` : ''}`
        t.same(exceptKnown(script, forked), exceptKnown(script, fresh), `forked: ${name.replaceAll('\n', '\\n')}`)
        t.same(exceptKnown(script, ready), exceptKnown(script, fresh), `made ready: ${name.replaceAll('\n', '\\n')}`)
      }
    })
  }
})

/** Numbers of prctl(2) and ptrace(2). */
const calls = process.arch === 'arm64' ? { prctl: 167, ptrace: 117 } : { prctl: 157, ptrace: 101 }

/** What all ways could do wrong alike, and what it is to print. */
const certain: [script: string, stdout: string][] = [
  ['umask', '0022\n'],
  ['ls /proc/$$/fd; true', '0\n1\n2\n'],
  ['readlink /proc/$$/fd/0; ulimit -c', '/dev/null\n0\n'],
  ['echo "$0 $# $PPID $SHLVL $-"', 'bash 0 0 1 hBc\n'],
  ['read -r _ _ _ _ group session terminal _ < /proc/$$/stat; echo $((group == $$)) $((session == $$)) $terminal', '1 1 0\n'],
  ["exec awk '/^Sig(Blk|Ign|Cgt)|^NoNewPrivs|^Cap(Inh|Amb)/ { print $2 + 0 }' /proc/self/status", '0\n0\n0\n0\n0\n1\n'],
  [`exec perl -e 'my $x = pack("i", 0); syscall(${calls.prctl}, 2, $x, 0, 0, 0); print unpack("i", $x)'`, '9'],
  [`exec perl -e 'print syscall(${calls.prctl}, $_, 0, 0, 0, 0), " " for 3, 7, 27, 39, 42'`, '1 0 0 1 0 '],
  [`(perl -e 'print syscall(${calls.ptrace}, 0x4206, '$$', 0, 0)'); true`, '0'],
]

for (const way of ['ready', 'forked'] as const)
  t.test(`what is certain of a shell that is ${way}`, async (t) => {
    const one = await sandboxServer(t, { isolation: 'jail', slots: 1, runtime: EachWay })
    const { leaseId } = await one.lease('a')
    await ran(one.client, leaseId, `mkdir ${folder}`)
    const run = (script: string) => look(one, leaseId, way, { script })
    await run(':')
    for (const [script, stdout] of certain) t.match(await run(script), { stdout, stderr: '', exitCode: 0 }, script)

    const codes = await Promise.all(Array.from({ length: 256 }, async (_, code) => (await run(`echo ${code}; exit ${code}`)).exitCode))
    t.same(
      codes,
      Array.from({ length: 256 }, (_, code) => code),
      'every exit code is its own, whatever else runs',
    )
    t.not((await run('kill -40 $$')).exitCode, 0, 'what a real-time signal ended did not succeed')

    const chance = 'echo $RANDOM $RANDOM $SRANDOM; exec grep -m 1 stack /proc/self/maps'
    t.not((await run(chance)).stdout, (await run(chance)).stdout, 'chance and places in memory are anew in each')

    const flags = 'exec grep flags /proc/self/fdinfo/0'
    const before = await run(flags)
    await run(`perl -MFcntl -e 'fcntl(STDIN, F_SETFL, O_NONBLOCK | O_APPEND) or die'`)
    t.same(await run(flags), before, 'the stdin of one is not that of another')
  })
