import { join } from 'node:path'
import t from 'tap'
import { ownHardLimits } from '../../../lib/sandbox/limits/hard-limits.ts'
import { runProgram } from '../../escape/run-program.ts'

const skip = process.platform !== 'linux' && 'limits of a process are read on Linux'

t.test('hard limits: those the kernel lists', { skip }, async (t) => {
  t.same(ownHardLimits(), await limitsOfBash())
})

t.test('hard limits: where the kernel lists none', { skip }, async (t) => {
  t.same(ownHardLimits(join(t.testdir(), 'limits')), await limitsOfBash())
})

async function limitsOfBash() {
  const stdout = await runProgram('bash', ['-c', 'ulimit -Hn; ulimit -Hu; ulimit -Hf'])
  const [n = 0, u = 0, blocks = 0] = stdout
    .trim()
    .split('\n')
    .map((one) => (one === 'unlimited' ? Number.POSITIVE_INFINITY : Number(one)))
  return { n, u, f: blocks * 1024 }
}
