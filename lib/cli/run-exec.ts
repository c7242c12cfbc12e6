import { randomUUID } from 'node:crypto'
import { SlotpoolError } from '../errors.ts'
import type { ExecResult } from '../pool/exec.ts'
import type { Slot } from '../pool/slot.ts'
import { SlotPool } from '../pool/slot-pool.ts'
import { limitNote } from '../terminal/limit-note.ts'
import { type CommandBounds, exitCodeOf } from '../terminal/render.ts'
import { checkCommand } from '../wire/command.ts'
import { checkEnv } from '../wire/env.ts'
import { type LimitsInForce, noLimits } from '../wire/limits.ts'
import type { Provenance } from '../wire/provenance.ts'
import { runCli } from './context.ts'
import type { ExecArguments } from './exec-options.ts'
import { notice, writeStderr, writeStdout } from './output.ts'
import { poolOptionsOf } from './pool-options.ts'
import { phasesByName, roundedMs, Trace } from './trace.ts'
import { refuseForeignBytes } from './utf8-arguments.ts'

/** Runs the command of `slotpool exec` in the slot of its task. */
export function runExec(args: ExecArguments): Promise<void> {
  return runCli(args.json, async ({ signal }) => {
    const command = (args['--'] ?? []).join(' ')
    if (args['--'] === undefined || args['--'].length === 0) {
      throw new SlotpoolError('USAGE', 'got no COMMAND, expected something to run: slotpool exec [options] COMMAND…')
    }
    refuseForeignBytes(process.argv)
    // Before a pool is opened for nothing.
    checkCommand(command)
    const env = parseEnv(args.env ?? [])
    checkEnv(env)
    const timeoutMs = parseSeconds('timeout', args.timeout)
    const noOutputTimeoutMs = parseSeconds('no-output-timeout', args.noOutputTimeout)
    const trace = new Trace()
    await using pool = await SlotPool.open({ ...poolOptionsOf(args), signal, onNotice: notice })
    trace.mark('open')
    let limits: LimitsInForce = noLimits
    let provenance: Provenance | undefined
    const run = async (slot: Slot): Promise<ExecResult> => {
      trace.mark('lease')
      limits = slot.view.limits
      provenance = slot.provenance
      const result = await slot.exec(command, {
        env,
        allowEnv: args.allowEnv ?? [],
        signal,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(noOutputTimeoutMs === undefined ? {} : { noOutputTimeoutMs }),
        ...(args.cwd === undefined ? {} : { cwd: args.cwd }),
        ...(args.json ? {} : streaming),
      })
      trace.addPhases(result.phases)
      return result
    }
    const result =
      args.taskId === undefined
        ? await pool.withSlot(`exec-${randomUUID()}`, run, { signal })
        : await run(await pool.lease(args.taskId, { heartbeat: false, signal }))
    if (args.taskId === undefined) trace.mark('release')
    if (args.trace) notice(`slotpool: ${trace.line()}`)
    if (args.json) await writeStdout(`${JSON.stringify({ ...toJson(result, args.taskId), provenance })}\n`)
    else
      for (const line of remarks(result, { timeoutMs: timeoutMs ?? pool.config.timeoutMs, noOutputTimeoutMs, limits }))
        notice(`slotpool: ${line}`)
    return exitCodeOf(result)
  })
}

/** Output goes through as the bytes that it is, and nothing of it is kept. */
const streaming = {
  encoding: 'buffer',
  maxOutputBytes: 1,
  onStdout: writeStdout,
  onStderr: writeStderr,
} as unknown as object

function toJson(result: ExecResult, taskId: string | undefined): object {
  return {
    task_id: taskId ?? null,
    execution_id: result.executionId,
    stdout: result.stdout,
    stderr: result.stderr,
    exit_code: exitCodeOf(result),
    signal: result.signal,
    timed_out: result.timedOut,
    timeout: result.timeout,
    limit: result.limit,
    failure: result.failure,
    skipped_env: result.skippedEnv,
    truncated: result.truncated,
    duration_ms: roundedMs(result.durationMs),
    phases_ms: phasesByName(result.phases),
  }
}

function parseEnv(entries: readonly string[]): Record<string, string> {
  const pairs = entries.map((entry) => {
    const at = entry.indexOf('=')
    if (at < 1) throw new SlotpoolError('USAGE', `--env: got ${entry}, expected KEY=VALUE`)
    return [entry.slice(0, at), entry.slice(at + 1)]
  })
  // The last of a name wins.
  return Object.fromEntries(pairs)
}

/** What a person should know of how a command ended, a line each. */
function remarks({ skippedEnv, timeout, limit }: ExecResult, bounds: CommandBounds): string[] {
  const lines: string[] = []
  if (skippedEnv.length > 0) lines.push(`not passed on, for they are reserved: ${skippedEnv.join(', ')}; --allow-env passes one on by name`)
  if (timeout === 'total') lines.push(`timed out after ${bounds.timeoutMs / 1000} s`)
  if (timeout === 'no-output') lines.push(`timed out after ${(bounds.noOutputTimeoutMs ?? 0) / 1000} s without output`)
  const note = limitNote(limit, bounds.limits)
  return note === null ? lines : [...lines, note]
}

function parseSeconds(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = /^[0-9]*\.?[0-9]+$/.test(text) ? Number(text) : Number.NaN
  if (seconds > 0 && seconds <= 2_147_483) return Math.ceil(seconds * 1000)
  throw new SlotpoolError('USAGE', `--${name}: got ${text}, expected seconds above 0 and up to 2147483`)
}
