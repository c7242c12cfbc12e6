import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { SlotpoolError } from '../../errors.ts'
import { systemCallTable } from './system-calls.ts'

/** Where everybody may leave something. */
const sharedFolders = ['/tmp', '/var/tmp', '/dev/shm']

/**
 * Removes what a uid that runs nothing any more has left where everybody may: files, System V shared memory, semaphores and message queues, and the keys
 * of its user. Its next lease is another task's, whose folders may be made already: all below `kept` stays.
 *
 * @throws {SlotpoolError} `JAIL_FAILED` when that cannot be done.
 */
export async function removeLeftOfUid(uid: number, kept: string): Promise<void> {
  try {
    await promisify(execFile)('perl', ['-e', program(), String(uid), `${kept.replace(/[*?[\\]/g, '\\$&')}/*`, ...sharedFolders])
  } catch (cause) {
    throw new SlotpoolError('JAIL_FAILED', `what uid ${uid} left could not be removed: ${(cause as Error).message}`, { cause })
  }
}

/** As root: nothing of the uid's runs. Links are not followed, and a folder in which others have something stays. */
function program(): string {
  return `
use strict;
${systemCallTable()}
my ($uid, $kept, @folders) = @ARGV;
my $child = fork // die "fork: $!\\n";
if (!$child) {
  open(STDERR, '>', '/dev/null');
  exec('find', (grep { -d } @folders), '-xdev', '-mindepth', '1', '-uid', $uid, '!', '-path', $kept, '-delete') or exit 127;
}
waitpid($child, 0);
die "find could not be started\\n" if $? >> 8 == 127;
my %remove = (shm => sub { shmctl($_[0], 0, 0) }, msg => sub { msgctl($_[0], 0, 0) }, sem => sub { semctl($_[0], 0, 0, 0) });
for my $kind (keys %remove) {
  open(my $table, '<', "/proc/sysvipc/$kind") or next;
  my %column; my $at = 0; $column{$_} = $at++ for split ' ', <$table>;
  while (<$table>) { my @of = split; $remove{$kind}->($of[1]) if $of[$column{uid}] == $uid || $of[$column{cuid}] == $uid }
}
call('setresuid', ($uid + 0) x 3);
syscall($call{keyctl}, 7, $_) for -4, -5;
`
}
