import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findProgram } from '../../../lib/backend/find-program.ts'
import { checkApptainer } from '../../../lib/cli/doctor/apptainer.ts'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'

const PATH = process.env.PATH
const linux = bareMachine({ platform: 'linux' })
const real = findProgram('apptainer', PATH) ?? findProgram('singularity', PATH)

t.test('the real one', { skip: real === undefined && 'needs apptainer or singularity, neither of which is on PATH' }, async (t) => {
  t.match(await checkApptainer(thisMachine(), noAbort()), { found: true, version: /^\d+\.\d+/, detail: real, mend: null })
})

t.test('none', async (t) => {
  const check = await checkApptainer(linux, noAbort())
  t.match(check, { name: 'apptainer', found: false, version: null, detail: 'neither apptainer nor singularity is on PATH' })
  t.match(check.mend, /apt-get install -y/)
})

t.test('a program that is broken', async (t) => {
  const bin = t.testdir({ singularity: '#!/bin/sh\nexit 1\n' })
  chmodSync(join(bin, 'singularity'), 0o755)
  const check = await checkApptainer({ ...linux, env: { PATH: bin } }, noAbort())
  t.match(check, { found: true, version: null, detail: /singularity --version does not run$/, mend: /apptainer/ })
})
