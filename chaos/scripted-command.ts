import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { Script, ScriptedResult } from '../lib/backend/fake/scripted-execution.ts'
import { commandText, largeOutput } from './command-text.ts'
import type { CommandPlan, TaskPlan } from './task-plan.ts'

const journalPath = '/workspace/journal'

/** Plays the part of bash for the commands of these tasks: what `commandText` says of each is done here. */
export function scriptedCommands(tasks: readonly TaskPlan[], ledger: string): Script {
  const plans = new Map<string, CommandPlan>(tasks.flatMap((task) => task.commands.map((one) => [commandText(one), one] as const)))
  return async ({ command, files, signal, stdout }): Promise<ScriptedResult> => {
    const plan = plans.get(command)
    if (!plan) throw new Error(`got a command that is of no task: ${command}`)
    appendFileSync(ledger, `${plan.line}\n`)
    const journal = `${files.get(journalPath)?.toString() ?? ''}${plan.line}\n`
    files.set(journalPath, Buffer.from(journal))
    stdout(`${plan.line}\n${journal.split('\n').length - 1}\n`)
    await delay(plan.sleepMs, undefined, { signal }).catch(() => {})
    switch (plan.kind) {
      case 'large':
        return { stdout: largeOutput() }
      case 'limit':
        return { signal: 'SIGKILL', limit: 'output' }
      case 'timeout':
      case 'cancel':
        await delay(600_000, undefined, { signal, ref: false }).catch(() => {})
        return {}
      default:
        return { exitCode: plan.exitCode }
    }
  }
}
