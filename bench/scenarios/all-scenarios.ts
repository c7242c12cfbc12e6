import type { Scenario } from '../bench.ts'
import { cliExec } from './cli-exec.ts'
import { coldStart } from './cold-start.ts'
import { concurrentLeases } from './concurrent-leases.ts'
import { execLatency } from './exec-latency.ts'
import { fileTransfer } from './file-transfer.ts'
import { idleMemory } from './idle-memory.ts'
import { leaseLatency } from './lease-latency.ts'
import { poolScale } from './pool-scale.ts'
import { stdoutStream } from './stdout-stream.ts'
import { throughput } from './throughput.ts'

/** Every scenario, in the order in which all run. */
export const allScenarios: readonly Scenario[] = [
  execLatency,
  cliExec,
  leaseLatency,
  throughput,
  stdoutStream,
  coldStart,
  idleMemory,
  concurrentLeases,
  poolScale,
  fileTransfer,
]
