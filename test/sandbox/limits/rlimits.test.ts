import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ownHardLimits } from '../../../lib/sandbox/limits/hard-limits.ts'
import { rlimitScript } from '../../../lib/sandbox/limits/rlimits.ts'
import { skipWithoutGroups } from './opened-groups.ts'

const none = { n: Number.POSITIVE_INFINITY, u: Number.POSITIVE_INFINITY, f: Number.POSITIVE_INFINITY }

async function bash(script: string): Promise<string> {
  return (await promisify(execFile)('bash', ['--norc', '--noprofile', '-c', script])).stdout
}

t.test('both limits are set, for what the shell starts too', async (t) => {
  const script = rlimitScript({ openFiles: 100, fileBytes: 5000 })
  const shown = await bash(`${script}; exec bash -c 'for kind in S H; do ulimit -$kind -c; ulimit -$kind -n; ulimit -$kind -f; done'`)
  t.equal(shown, '0\n100\n5\n'.repeat(2))
})

t.test('none is raised above what the server itself is bound to', async (t) => {
  t.equal(
    rlimitScript({ openFiles: 100, fileBytes: 1e6, processes: 50 }, { n: 64, u: 20, f: 2047 }),
    'ulimit -c 0 && ulimit -n 64 && ulimit -f 1 && ulimit -u 20 || exit 1',
  )
  t.equal(rlimitScript({ openFiles: 1e9 }), `ulimit -c 0 && ulimit -n ${Math.min(1e9, ownHardLimits().n)} || exit 1`)
  t.equal(rlimitScript({}, none), 'ulimit -c 0 || exit 1', 'what is left out stays')
})

t.test('a refused limit ends the shell', async (t) => {
  await t.rejects(bash(`ulimit -n 64; ${rlimitScript({ openFiles: 100 }, none).replace('-n 100', '-n nonsense')}; echo here`), { code: 1 })
})

t.test('with a file length of 0 files can be emptied and removed, but not written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-rlimits-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'file')
  await writeFile(file, 'old')
  // Bash is ended by the signal that comes with it, unless it is ignored.
  const script = `trap '' XFSZ; ${rlimitScript({ fileBytes: 0 })}; echo new 2> /dev/null >> '${file}'; cat '${file}'; : > '${file}' && rm '${file}' && echo removed`
  t.equal(await bash(script), 'oldremoved\n')
})

t.test('the processes of a user of its own are counted', { skip: skipWithoutGroups }, async (t) => {
  const bomb = `perl -e 'for (1..100) { my $p = fork(); if (!defined $p) { $no++ } elsif ($p == 0) { sleep 1000 } } print "$no\\n"; $SIG{TERM} = "IGNORE"; kill TERM => 0'`
  // A user that no slot and nobody else has.
  const become = 'setpriv --reuid=1999999999 --regid=1999999999 --clear-groups --bounding-set=-all --inh-caps=-all'
  t.equal(await bash(`${rlimitScript({ processes: 32 })}; exec setsid --wait ${become} ${bomb}`), `${100 - 31}\n`)
})
