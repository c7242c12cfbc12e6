import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { outputOf } from '../run-process.ts'
import { Driver } from './driver.ts'
import { MissingPeer, type PeerKind } from './peer.ts'

const driver = fileURLToPath(new URL('drivers/swe-rex.py', import.meta.url))

/** The Python that has SWE-ReX: `BENCH_PYTHON`, else the `venv` in the folder that `BENCH_PEERS` names, else `python3` on PATH. */
async function python(): Promise<string> {
  const { BENCH_PYTHON, BENCH_PEERS } = process.env
  if (BENCH_PYTHON !== undefined) return BENCH_PYTHON
  const inVenv = BENCH_PEERS === undefined ? undefined : `${BENCH_PEERS}/venv/bin/python`
  const isThere =
    inVenv !== undefined &&
    (await access(inVenv).then(
      () => true,
      () => false,
    ))
  return isThere ? inVenv : 'python3'
}

async function startDriver(kind: string, modules: string, ...[bench, scope, sandboxes]: Parameters<PeerKind['open']>) {
  bench.signal.throwIfAborted()
  const program = await python()
  await outputOf(program, ['-c', `import ${modules}`]).catch((error: Error) => {
    const reason = error.message.trim().split('\n').at(-1)
    throw new MissingPeer(
      `${program} cannot import ${modules} (${reason}); \`pip install swe-rex aiohttp\` in a venv outside of this project, and BENCH_PYTHON set to its python`,
    )
  })
  return Driver.start(scope, program, [driver, kind, String(sandboxes)])
}

/** A bare subprocess, from Python. */
export const sweRexExecute: PeerKind = {
  name: 'SWE-ReX execute',
  isolation: 'none',
  streams: false,
  open: (...terms) => startDriver('execute', 'swerex', ...terms),
}

/** A shell behind a pseudo-terminal that stays between commands. */
export const sweRexSession: PeerKind = {
  name: 'SWE-ReX run_in_session',
  isolation: 'none',
  streams: false,
  open: (...terms) => startDriver('session', 'swerex', ...terms),
}

/** A bare subprocess of a server, one server for each sandbox: how SWE-ReX reaches its containers. */
export const sweRexRemote: PeerKind = {
  name: 'SWE-ReX remote execute',
  isolation: 'none of its own',
  streams: false,
  open: (...terms) => startDriver('remote', 'swerex, aiohttp', ...terms),
}
