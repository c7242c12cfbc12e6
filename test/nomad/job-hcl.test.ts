import t from 'tap'
import { jobHcl } from '../../lib/nomad/job-hcl.ts'
import { poolJobSpec } from '../../lib/nomad/job-spec.ts'

const spec = poolJobSpec({
  ...{ pool: 'p', image: 'i:1', slots: 4, isolation: 'uid', network: 'none', version: '1.2.3', count: 3 },
  ...{ limits: {}, networkAllow: [], mounts: [], placement: { constraints: ['${meta.rack} = r1'] } },
})

t.test('blocks, attributes and units as a job file has them', async (t) => {
  const lines = jobHcl(spec).split('\n')
  for (const line of [
    'job "slotpool-p" {',
    '  datacenters = ["*"]',
    '    constraint {',
    '      attribute = "${meta.rack}"',
    '      operator = "="',
    '      value = "r1"',
    '      unlimited = true',
    '      delay = "8640000s"',
    '      port "http" {',
    '      kill_timeout = "30s"',
    '        memory_hard_limit = 4608',
    '        cpu = 100',
  ])
    t.ok(lines.includes(line), line)
  t.notOk(lines.some((line) => /undefined|null|\[object/.test(line)))
})

t.test('what it does not know is not left out in silence', async (t) => {
  t.throws(() => jobHcl({ ...spec, Periodic: {} }), new RangeError("got Periodic in a job, expected a field of a pool's job"))
})
