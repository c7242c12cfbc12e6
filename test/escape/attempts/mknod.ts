import type { Attempt } from '../attempt.ts'
import { perl } from '../probe.ts'

/** Makes device nodes of its own, which it does not open: the disk below every filesystem, the machine's memory, the kernel's log. */
const node = (name: string, type: string, find: string): Attempt => ({
  name: `make a node: ${name}`,
  escape: ({ attack }) =>
    attack(
      perl(`
        ${find}
        for my $folder ('.', $ENV{TMPDIR}, '/dev', '/dev/shm', '/run') {
          for my $number (@numbers) {
            my $path = "$folder/node-$$";
            tried("$path $number", sys('mknodat', -100, $path, ${type} | 0600, $number));
            unlink $path;
          }
        }`),
    ),
  controlNeedsRoot: 'no node of a device can be made in a user namespace',
})

export const attempts: Attempt[] = [
  node(
    'a disk',
    '0060000',
    `open(my $p, '<', '/proc/partitions'); my @numbers = map { /^\\s*(\\d+)\\s+(\\d+)/ ? (($1 << 8) | $2) : () } <$p>;`,
  ),
  node('the kernel’s log', '0020000', 'my @numbers = ((1 << 8) | 11);'),
]
