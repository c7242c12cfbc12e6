import type { Endpoint } from '../../lib/wire/endpoint.ts'

/** The place where a sandbox server runs, seen with its rights: this machine, a container, or namespaces of the test's own. */
export interface Beside {
  /** Runs a bash script there; resolves with what it wrote, rejects when it fails. */
  run(script: string): Promise<string>
  readonly server: {
    /** As it is seen there. */
    pid: number
    stateDir: string
    token: string
    endpoint: Endpoint
    /** The port it listens at there, on every address; undefined for one that listens at a Unix socket. */
    port?: number
  }
}

/** Starts a script there that goes on until it is ended. It says that it is ready by writing a line to the file named by `$READY`. */
export async function startBeside(beside: Beside, script: string): Promise<{ pid: number; end(): Promise<unknown> }> {
  const words = await beside.run(`
folder=$(mktemp -d) && mkfifo "$folder/ready" || exit 1
READY=$folder/ready setsid bash -c ${quoted(script)} > "$folder/log" 2>&1 < /dev/null &
pid=$!
if read -r -t 20 _ 0<> "$folder/ready"; then echo "$pid $folder"; else cat "$folder/log" >&2; kill -9 -- "-$pid"; exit 1; fi`)
  const [, pid, folder] = /^(\d+) (\/[\w./-]+\/tmp\.\w{10})\n$/.exec(words) ?? []
  if (pid === undefined || folder === undefined) throw new Error(`got ${JSON.stringify(words)}, expected a process and its folder`)
  return {
    pid: Number(pid),
    end: () => beside.run(`kill -9 -- -${pid} 2> /dev/null; rm -rf -- ${folder}`),
  }
}

/** A new folder there. What is no such folder is refused, since whoever asked for it will remove it. */
export async function newFolder(beside: Beside): Promise<string> {
  const folder = (await beside.run('mktemp -d')).trim()
  if (!/^\/[\w./-]+\/tmp\.\w{10}$/.test(folder)) throw new Error(`got ${JSON.stringify(folder)}, expected a new folder`)
  return folder
}

/** One word of a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
