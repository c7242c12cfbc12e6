import t from 'tap'
import { UsageError } from '../../bench/command-line.ts'
import { parseArguments, repeatLine } from '../../chaos/arguments.ts'
import { planFaults } from '../../chaos/fault-plan.ts'
import { faultsOf, placeNames } from '../../chaos/faults.ts'
import { commandKinds, planTasks } from '../../chaos/task-plan.ts'

t.test('a seed decides all that is decided by chance', async (t) => {
  const commands = { least: 3, most: 6 }
  t.same(planTasks(7, 50, commands), planTasks(7, 50, commands))
  t.not(JSON.stringify(planTasks(7, 50, commands)), JSON.stringify(planTasks(8, 50, commands)))
  const names = faultsOf('local')
  t.same(planFaults(7, names, 1000, 4500), planFaults(7, names, 1000, 4500))
  t.not(JSON.stringify(planFaults(7, names, 1000, 4500)), JSON.stringify(planFaults(8, names, 1000, 4500)))
})

t.test('tasks have commands of all kinds, as many as was said, each with a line of its own', async (t) => {
  const tasks = planTasks(1, 1000, { least: 3, most: 6 })
  t.same([...new Set(tasks.map((one) => one.commands.length))].sort(), [3, 4, 5, 6])
  const all = tasks.flatMap((one) => one.commands)
  for (const kind of commandKinds) t.ok(all.filter((one) => one.kind === kind).length > all.length / 100, kind)
  t.equal(new Set(all.map((one) => one.line)).size, all.length)
  t.ok(all.every((one) => (one.kind === 'exit') === one.exitCode > 0))
  t.ok(all.every((one) => one.sleepMs >= 0 && one.sleepMs <= 200))
})

t.test('each fault comes at least once, in its time; in a long run one for every twenty tasks', async (t) => {
  for (const place of placeNames) {
    const names = faultsOf(place)
    const few = planFaults(3, names, 40, 180)
    t.same(few.map((one) => one.name).sort(), [...names].sort())
    const many = planFaults(3, names, 1000, 4500)
    t.equal(many.length, 50)
    for (const name of names) t.ok(many.filter((one) => one.name === name).length >= 7, `${place}: ${name}`)
    const times = many.map((one) => one.afterCommands)
    t.same(
      times,
      [...times].sort((a, b) => a - b),
    )
    t.ok(times.every((at) => at > 0 && at < 4500 * 0.9))
  }
})

t.test('the command line', async (t) => {
  const options = parseArguments(['--backend', 'nomad', '--tasks', '5', '--commands', '2..4', '--seed', '9'])
  t.match(options, { backend: 'nomad', tasks: 5, commands: { least: 2, most: 4 }, seed: 9, slots: 10, containers: 3, managers: 2 })
  t.ok(options.faults.includes('node-drain'))
  const [, , , , ...words] = repeatLine(options).split(' ')
  t.same(parseArguments(words), options, 'what it prints repeats it')
  for (const [args, message] of [
    [['--backend', 'podman'], /--backend: got podman, expected one of local, docker, nomad, fake/],
    [['--faults', 'node-drain'], /--faults: got node-drain, expected one or more of manager-kill, /],
    [['--commands', '4..2'], /--commands: got 4\.\.2, expected/],
    [['--commands', '0'], /--commands: got 0/],
    [['--tasks', 'many'], /--tasks: got many, expected a whole number/],
    [['--fast'], /--fast/],
  ] as const) {
    t.throws(() => parseArguments(args), { constructor: UsageError, message })
  }
})
