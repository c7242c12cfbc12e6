import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Backend } from '../../lib/backend/backend.ts'
import { sandboxServerBundle } from '../../lib/package-root.ts'
import { SlotPool } from '../../lib/pool/slot-pool.ts'
import { wipeSlotFolders } from '../../lib/sandbox/slot-folders.ts'
import { testName } from '../fixtures/test-name.ts'
import type { Beside } from './beside.ts'
import { runProgram } from './run-program.ts'

/** Runs the server as long as it lives and stdin is open, which ends with the test, however that ends. */
const serve = `
command -v ip > /dev/null && ip link set lo up 2> /dev/null
exec 9<&0
"$@" < /dev/null 9<&- &
cat <&9 > /dev/null 3>&- &
wait -n`

/** Where nothing isolates, an attempt has the rights of its control: what it writes goes to memory, and this machine's own files stay. */
const copyOnWrite = `
set -e
mkdir "$0/over"
mount -t tmpfs tmpfs "$0/over"
cd "$0/over"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/over/upper,workdir=$0/over/work" root
for folder in /proc /dev /sys "$0"; do mount --rbind "$folder" "root$folder"; done
cd root
mkdir old
# Not chroot, in which no user namespace can be made.
pivot_root . old
umount -l /old
cd /
set +e
`

/** A pool whose one server runs in namespaces of the test's own. */
export interface GuardedPool {
  pool: SlotPool
  beside: Beside
  /** Ends the namespaces with all that is in them. Nothing of it is left then. */
  end(): Promise<void>
}

/**
 * Starts a sandbox server in PID, mount, IPC, UTS and network namespaces of its own, so that whatever ends all processes, unmounts /proc or
 * takes addresses meets nobody else. Bash is their first process: it reaps what is orphaned.
 *
 * - `none`: the slots have all rights that there are, root's within a user namespace where this process is an ordinary user.
 * - `jail`: the server has the rights of this process.
 */
export async function guardedPool(isolation: 'none' | 'jail', slots: number): Promise<GuardedPool> {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-guarded-'))
  const token = randomBytes(32).toString('base64url')
  const stateDir = join(folder, 'state')
  const socketPath = join(folder, 'server.sock')
  const tokenFile = join(folder, 'token')
  // Slots that are entered by their path pass through.
  await runProgram('chmod', ['711', folder])
  await mkdir(stateDir, { mode: 0o711 })
  await writeFile(tokenFile, token, { mode: 0o600 })
  const asRoot = process.geteuid?.() === 0
  const user = asRoot
    ? []
    : isolation === 'none'
      ? ['--map-root-user']
      : [`--map-user=${process.geteuid?.()}`, `--map-group=${process.getegid?.()}`]
  const server = [
    ...[process.execPath, sandboxServerBundle(), '--listen', `unix:${socketPath}`, '--token-file', tokenFile, '--state-dir', stateDir],
    ...['--pool', 'guarded', '--slots', String(slots), '--isolation', isolation, '--network', isolation === 'none' ? 'host' : 'outbound'],
    ...['--uid-base', String(1_900_000_000 + (process.pid % 50_000) * 1000)],
  ]
  // An ordinary user’s rights there reach no further than its own here.
  const init = isolation === 'none' && asRoot ? `${copyOnWrite}\n${serve}` : serve
  const child = spawn(
    'unshare',
    // The test's end ends it all, however that comes.
    [
      ...user,
      '--mount',
      '--pid',
      '--ipc',
      '--uts',
      '--net',
      '--fork',
      '--kill-child=SIGKILL',
      '--mount-proc',
      '--',
      'bash',
      '--norc',
      '-c',
      init,
      folder,
      ...server,
    ],
    { stdio: ['pipe', 'ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, SLOTPOOL_READY_FD: '3' } },
  )
  const exit = once(child, 'exit')
  const log = text(child.stderr as Readable)
  const end = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exit
    await wipeSlotFolders(folder)
  }
  try {
    // The programs around the server hold the pipe open, too.
    const said = String((await Promise.race([once(child.stdio[3] as Readable, 'data'), exit]))[0])
    if (!said.includes('"ready"'))
      throw new Error(`the server in namespaces of the test’s own did not start: ${said}${(await log).slice(-2000)}`)
    const [holder = ''] = (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim().split(' ')
    const enter = [...(asRoot ? [] : ['-U', '--preserve-credentials']), '-t', holder, '-m', '-p', '-i', '-u', '-n', '--', 'bash', '-c']
    const run = (script: string) => runProgram('nsenter', [...enter, script])
    const pid = Number((await run(`pgrep -f -o '^[^ ]*node .*[s]andbox-server'`)).trim())
    const endpoint = { url: 'http://slotpool', socketPath }
    const beside: Beside = { run, server: { pid, stateDir, token, endpoint } }
    const pool = await SlotPool.open({
      backend: new OneServer(token, endpoint, () => child.exitCode === null && child.signalCode === null),
      pool: testName(),
      slots,
      max: 1,
    })
    return {
      pool,
      beside,
      end: async () => {
        // First, since nobody answers for a server that stands still.
        await end()
        await pool.close()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

/** One server that is there already. */
class OneServer implements Backend {
  readonly name = 'local'
  readonly #token: string
  readonly #endpoint: Beside['server']['endpoint']

  readonly #lives: () => boolean

  constructor(token: string, endpoint: Beside['server']['endpoint'], lives: () => boolean) {
    this.#token = token
    this.#lives = lives
    this.#endpoint = endpoint
  }

  async token() {
    return this.#token
  }

  async list() {
    return [
      { id: 'guarded', index: 0, node: 'guarded', state: this.#lives() ? ('ready' as const) : ('dead' as const), endpoint: this.#endpoint },
    ]
  }

  async shape() {
    return null
  }

  grow() {
    return this.list()
  }

  async remove() {}

  async watch() {}

  async destroy() {}

  async close() {}
}
