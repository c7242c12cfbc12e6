import type { Attempt } from '../attempt.ts'
import { Absent } from '../attempt.ts'
import { perl } from '../probe.ts'

/**
 * Asks whether the kernel lets it use what steers the machine, or what most escapes through the kernel itself began with. Each call is made
 * so that it fails after the check of rights: nothing is loaded, started or ended.
 */
const probe = (name: string, call: string, after: string, options: Partial<Attempt> = {}): Attempt => ({
  name,
  escape: async ({ attack }) => {
    const said = await attack(
      perl(
        `my $r = ${call}; my $e = $! + 0; if ($r < 0 && $e == POSIX::ENOSYS()) { held('ENOSYS') } else { $! = $e; tried('${name}', $r, ${after}) }`,
      ),
    )
    return said
  },
  control: async ({ attack }) => {
    const said = await attack(
      perl(
        `my $r = ${call}; my $e = $! + 0; if ($r < 0 && $e == POSIX::ENOSYS()) { got('ENOSYS') } else { $! = $e; tried('${name}', $r, ${after}) }`,
      ),
    )
    if (said?.includes('ENOSYS')) throw new Absent(`this kernel has no such call: ${name}`)
    return said
  },
  ...options,
})

const machine = { controlNeedsRoot: 'only the machine’s own root may' } satisfies Partial<Attempt>

export const attempts: Attempt[] = [
  probe('restart the machine', `sys('reboot', 1, 2, 3, 0)`, 'POSIX::EINVAL()', machine),
  probe('load another kernel', `sys('kexec_load', 0, 0, 0, 0xff00)`, 'POSIX::EINVAL(), POSIX::EADDRNOTAVAIL()', machine),
  probe('load a module', `sys('finit_module', -1, '', 0)`, 'POSIX::EBADF()', machine),
  probe('swap to a file', `sys('swapon', '/nonexistent/swap', 0)`, 'POSIX::ENOENT()', machine),
  probe(
    'open a file by its handle',
    `do { my $handle = pack('II', 8, 1) . pack('II', 2, 0); opendir(my $d, '/'); sys('open_by_handle_at', fileno($d), $handle, 0) }`,
    'POSIX::ESTALE(), POSIX::EOPNOTSUPP()',
    machine,
  ),
  probe('see the kernel’s programs (bpf)', `do { my $a = "\\0" x 128; sys('bpf', 11, $a, 128) }`, 'POSIX::ENOENT()', machine),
  probe(
    'make a map of the kernel’s (bpf)',
    `do { my $a = pack('LLLLL', 2, 4, 8, 1, 0) . "\\0" x 108; sys('bpf', 0, $a, 128) }`,
    '-1',
    machine,
  ),
  probe(
    'watch every processor (perf_event_open)',
    `do { my $a = pack('LLQ', 1, 112, 0) . "\\0" x 96; sys('perf_event_open', $a, -1, 0, -1, 0) }`,
    '-1',
    machine,
  ),
  probe('hold up the kernel at a page (userfaultfd)', `sys('userfaultfd', 0)`, '-1', machine),
  probe('queues shared with the kernel (io_uring)', `do { my $p = "\\0" x 120; sys('io_uring_setup', 1, $p) }`, '-1'),
  {
    name: 'read the kernel’s log',
    escape: ({ attack }) => attack(perl(`tried('syslog', sys('syslog', 10, 0, 0));`)),
    ...machine,
  },
  probe('the machine’s ports (iopl)', `sys('iopl', 3)`, '-1', machine),
]
