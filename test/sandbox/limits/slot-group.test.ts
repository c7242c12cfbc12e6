import t from 'tap'
import { ending, joined, nextLine } from './joined.ts'
import { openedGroups, skipWithoutGroups } from './opened-groups.ts'

t.setTimeout(60_000)

const mib = 2 ** 20

t.test('the limits of a slot', { skip: skipWithoutGroups }, async (t) => {
  const groups = await openedGroups(t)
  const bounded = (name: 'memory' | 'processes') => (groups.controllers.has(name) ? false : `control groups here bound no ${name}`)

  t.test('a fork bomb runs into the number of processes, over all executions of its slot', { skip: bounded('processes') }, async (t) => {
    const slot = await groups.slot(0, { processes: 64 })
    const neighbour = await groups.slot(1, { processes: 64 })
    t.same(slot.hits(), { memory: 0, processes: 0 })
    // It tries 500 times, and says how often it was refused.
    const bomb = `perl -e '$| = 1; for (1..500) { my $p = fork(); if (!defined $p) { $no++ } elsif ($p == 0) { sleep 1000 } } print "$no\\n"; sleep 1000'`
    const first = joined((await slot.execution()).joinFiles, bomb)
    const refused = Number(await nextLine(first))
    t.equal(refused, 500 - 63, 'perl itself is one of the 64')
    t.equal((await slot.members()).length, 64)
    t.equal(slot.hits().processes > 0, true)
    // Not bash itself: it tries for 15 seconds.
    const fork = `exec perl -e 'my $p = fork(); exit 0 if defined $p && $p == 0; $| = 1; print defined $p ? "forked\\n" : "refused\\n"; sleep 1000'`
    const second = joined((await slot.execution()).joinFiles, fork)
    t.equal(await nextLine(second), 'refused', 'another execution of the slot cannot fork either')
    t.equal(await nextLine(joined((await neighbour.execution()).joinFiles, fork)), 'forked', 'a neighbour can')
    t.equal(neighbour.hits().processes, 0)
    await Promise.all([slot.end(), neighbour.end(), ending(first), ending(second)])
    t.same(await slot.members(), [])
    t.ok(slot.hits().processes > 0, 'it is still known afterwards')
  })

  t.test('what takes too much memory is ended, its neighbour is not', { skip: bounded('memory') }, async (t) => {
    const slot = await groups.slot(0, { memoryBytes: 32 * mib })
    const neighbour = await groups.slot(1, { memoryBytes: 32 * mib })
    const beside = joined((await neighbour.execution()).joinFiles, 'echo begun; sleep 1000')
    t.equal(await nextLine(beside), 'begun')
    const hog = joined((await slot.execution()).joinFiles, `perl -e '$x = "x" x (128 * 1024 * 1024); sleep 1000'; echo $?`)
    t.equal(await nextLine(hog), '137', 'perl was killed, its shell was not')
    t.same(slot.hits().memory, 1)
    t.same(neighbour.hits().memory, 0)
    t.same(await neighbour.members(), [beside.pid])
    await Promise.all([slot.end(), neighbour.end()])
  })

  t.test('a limit that the kernel refuses is no group', { skip: bounded('processes') }, async (t) => {
    await t.rejects(groups.slot(0, { processes: -5 }), { code: 'JAIL_FAILED', message: /did not take -5 for pids\.max/ })
  })
})
