import t from 'tap'
import { digest, largeBytes, largeOutput } from '../../chaos/command-text.ts'
import { judge, type Observations } from '../../chaos/judge.ts'
import type { CommandResult, TaskFailure } from '../../chaos/messages.ts'
import { renderChecks, renderTable } from '../../chaos/report.ts'
import type { CommandPlan } from '../../chaos/task-plan.ts'
import { TaskRecord } from '../../chaos/task-record.ts'

const kinds: readonly CommandPlan['kind'][] = ['plain', 'exit', 'large', 'timeout', 'cancel', 'limit']

/** How each kind of command ends when nothing is wrong. */
function asMeant({ kind, number, exitCode }: CommandPlan): CommandResult {
  const said = { claimed: true, journal: number, restBytes: 0, restDigest: digest('') }
  const result: CommandResult = { failure: null, code: null, message: '', exitCode, signal: null, durationMs: 1, truncated: false, said }
  switch (kind) {
    case 'exit':
      return { ...result, failure: 'command' }
    case 'large':
      return { ...result, said: { ...said, restBytes: largeBytes, restDigest: digest(largeOutput()) } }
    case 'timeout':
      return { ...result, failure: 'timeout', exitCode: null, signal: 'SIGKILL' }
    case 'cancel':
      return { ...result, failure: 'cancelled', code: 'CANCELLED', message: 'cancelled', exitCode: null }
    case 'limit':
      return { ...result, failure: 'limit', exitCode: null, signal: 'SIGKILL' }
    default:
      return result
  }
}

/** A task that ended well, with one command of each kind. */
function taskThatEndedWell(id: string): TaskRecord {
  const commands = kinds.map((kind, before): CommandPlan => {
    const number = before + 1
    return { number, kind, sleepMs: 0, exitCode: kind === 'exit' ? 7 : 0, line: `${id}/${number}/0` }
  })
  const task = new TaskRecord({ id, commands })
  for (const plan of commands) {
    task.asked.set(plan.number, 1)
    task.noteResult(plan.number, asMeant(plan))
  }
  task.state = 'over'
  task.endings.push(null)
  return task
}

type Run = { -readonly [K in keyof Observations]: Observations[K] extends readonly (infer T)[] ? T[] : never }

function runThatWentWell(): Run {
  const tasks = ['t1', 't2'].map(taskThatEndedWell)
  const ledger = tasks.flatMap((task) => task.plan.commands.map((one) => one.line))
  return { tasks, ledger, leased: [], left: [], notInjected: [], surprises: [] }
}

const failed = (observed: Observations): string[] =>
  judge(observed)
    .filter((check) => check.wrong.length > 0)
    .map((check) => check.what)

function change(
  task: TaskRecord,
  number: number,
  change: Partial<Omit<CommandResult, 'said'>> & { said?: Partial<CommandResult['said']> },
): void {
  const [before] = task.results.get(number) as [CommandResult]
  task.results.set(number, [{ ...before, ...change, said: { ...before.said, ...change.said } } as CommandResult])
}

/** Ends a task with the loss of its second command. */
function lose(task: TaskRecord, failure: TaskFailure['failure'], code: TaskFailure['code']): void {
  for (const number of [3, 4, 5, 6]) task.results.delete(number)
  const message = 'its slot is gone'
  change(task, 2, { failure, code, message, exitCode: null, said: { claimed: false, journal: null } })
  task.endings.splice(0, 1, { failure, code, message, at: 'command' })
}

t.test('a run that went well passes', async (t) => {
  t.same(failed(runThatWentWell()), [])
})

t.test('whatever is wrong is found, by the check for it', async (t) => {
  const wrongs: [what: string, change: (run: Run, first: TaskRecord) => void, found: RegExp[]][] = [
    ['a line is there twice', ({ ledger }) => ledger.push(ledger[3] as string), [/no line is in the ledger twice/]],
    ['a line of nobody', ({ ledger }) => ledger.push('t3/1/0'), [/no command writes/]],
    [
      'the line of a command that ended well is not there',
      ({ ledger }) => ledger.shift(),
      [/every line that a result claims/, /no command that ended well is missing/],
    ],
    ['a line that was printed by one that failed is not there', ({ ledger }) => ledger.splice(1, 1), [/every line that a result claims/]],
    ['a task has not ended', (_, first) => first.endings.pop(), [/exactly one result or one typed error/]],
    ['a task ended twice', (_, first) => first.endings.push(null), [/exactly one result or one typed error/]],
    ['a task ended well with a command undone', (_, first) => first.results.delete(6), [/exactly one result or one typed error/]],
    [
      'a command ended twice',
      (_, first) => first.noteResult(1, asMeant(first.plan.commands[0] as CommandPlan)),
      [/every command has at most one result/],
    ],
    ['another exit code', (_, first) => change(first, 2, { exitCode: 1 }), [/ended as it was to/]],
    ['success in the place of a timeout', (_, first) => change(first, 4, { failure: null, exitCode: 0 }), [/ended as it was to/]],
    ['a kill in the place of a cancel', (_, first) => change(first, 5, { failure: 'command', code: null }), [/ended as it was to/]],
    [
      'half of a long output',
      (_, first) => change(first, 3, { said: { restBytes: 5, restDigest: digest('1\n2\n3') } }),
      [/ended as it was to/],
    ],
    ['a workspace that is another', (_, first) => change(first, 3, { said: { journal: 1 } }), [/every workspace/]],
    [
      'a task that no fault met is lost',
      (_, first) => lose(first, 'lost', 'LEASE_LOST'),
      [/ended as it was to/, /met by a fault that can have done it/],
    ],
    [
      'a fault that takes no slot away is no excuse',
      (_, first) => {
        lose(first, 'unknown', 'EXECUTION_OUTCOME_UNKNOWN')
        for (const name of ['connection-cut', 'manager-kill', 'server-stall'] as const) first.touch(first.touches.length, name)
      },
      [/ended as it was to/, /met by a fault that can have done it/],
    ],
    [
      'a fault excuses no other kind of failure',
      (_, first) => {
        lose(first, 'cancelled', 'CANCELLED')
        first.touch(0, 'server-kill')
      },
      [/ended as it was to/, /met by a fault that can have done it/],
    ],
    [
      'a command that is said not to have been run was',
      (_, first) => {
        lose(first, 'lost', 'SERVER_UNREACHABLE')
        first.touch(0, 'server-kill')
      },
      [/said not to have been run/],
    ],
    ['a slot is still leased', ({ leased }) => leased.push('slot 3'), [/no slot was leased/]],
    ['something is left', ({ left }) => left.push('volume x'), [/nothing was left/]],
    ['a fault did not come', ({ notInjected }) => notInjected.push('fault 3, server-kill'), [/every fault of the plan/]],
    ['a manager ended by itself', ({ surprises }) => surprises.push('exit code 1'), [/by itself/]],
  ]
  for (const [what, apply, expected] of wrongs) {
    const run = runThatWentWell()
    apply(run, run.tasks[0] as TaskRecord)
    t.match(failed(run), expected, what)
    t.equal(failed(run).length, expected.length, `${what}: ${failed(run).join('; ')}`)
  }
})

t.test('a task whose slot was lost to a fault passes', async (t) => {
  for (const [kind, code] of [
    ['lost', 'LEASE_LOST'],
    ['unknown', 'EXECUTION_OUTCOME_UNKNOWN'],
  ] as const) {
    const run = runThatWentWell()
    const [first] = run.tasks as [TaskRecord]
    lose(first, kind, code)
    first.touch(0, 'server-kill')
    run.ledger = run.ledger.filter((line) => !/^t1\/[3-6]/.test(line))
    t.same(failed(run), [])
    const table = renderTable(run.tasks, [{ plan: { name: 'server-kill' } as never, met: 'container 0' }], judge(run))
    t.match(
      table.find((line) => line.startsWith('server-kill')),
      new RegExp(`^server-kill +1 +1 +0 +${kind} 1 +0$`),
    )
    t.match(
      table.find((line) => line.startsWith('none')),
      /^none +1 +1 +- +0$/,
    )
  }
})

t.test('one that came not far enough to say so leaves open what its workspace has', async (t) => {
  for (const found of [1, 2]) {
    const run = runThatWentWell()
    const [first] = run.tasks as [TaskRecord]
    change(first, 4, { said: { claimed: false, journal: null } })
    change(first, 5, { said: { journal: 3 + found } })
    change(first, 6, { said: { journal: 4 + found } })
    t.same(failed(run), [], `${found} lines`)
  }
})

t.test('output that is no longer kept for who comes back is none that is wrong', async (t) => {
  const run = runThatWentWell()
  const [first] = run.tasks as [TaskRecord]
  change(first, 3, { truncated: true, said: { claimed: false, journal: null, restBytes: 5, restDigest: digest('1\n2\n3') } })
  t.match(failed(run), [/ended as it was to/], 'but who asked once has all of it')
  first.asked.set(3, 2)
  t.same(failed(run), [])
})

t.test('what is wrong is told by task, and where it is much, not all of it', async (t) => {
  const run = runThatWentWell()
  run.ledger.push('t1/1/0', ...Array.from({ length: 20 }, (_, at) => `x${at}`))
  const lines = renderChecks(judge(run))
  t.ok(lines.includes('FAIL  no line is in the ledger twice'))
  t.ok(lines.includes('      t1: t1/1/0 is there 2 times'))
  t.ok(lines.includes('      and 10 more'))
  t.ok(lines.includes('PASS  every workspace is the one that its task had before'))
})
