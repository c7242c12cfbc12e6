import type { SlotPool } from '../../lib/pool/slot-pool.ts'
import { type Beside, quoted } from './beside.ts'

/** What there is of a server whose slots are all idle. */
export interface Count {
  /** Processes below the server. */
  processes: number
  /** Mounts of its folders that the server sees; this machine's others come and go. */
  mounts: number
  /** Folders of slots. */
  folders: number
  /** Processes and files that bear a mark of this run, wherever they are. */
  marked: string[]
}

/** Waits until every slot is idle, then counts. */
export async function countAll(pool: SlotPool, beside: Beside, run: string): Promise<Count> {
  for (;;) {
    const { totals } = await pool.status()
    if (totals.idle === totals.slots) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const { pid, stateDir } = beside.server
  const said = await beside.run(`perl -e ${quoted(counting)} -- ${pid} ${quoted(stateDir)} ${quoted(run)}`)
  return JSON.parse(said) as Count
}

/** Processes that bear the mark of a run, as the place of the server sees them. */
export async function markedProcesses(beside: Beside, mark: string): Promise<string[]> {
  const said = await beside.run(`perl -e ${quoted(counting)} -- ${beside.server.pid} ${quoted('/nonexistent')} ${quoted(mark)}`)
  return (JSON.parse(said) as Count).marked
}

/** SERVER, its STATE folder, WORD. Those that look for the word have it among their own arguments, and are left out. */
const counting = `
use strict;
my ($server, $state, $word) = @ARGV;
my (%parent, %words);
for my $folder (glob '/proc/[0-9]*') {
  my ($pid) = $folder =~ /(\\d+)/;
  local $/;
  open(my $stat, '<', "$folder/stat") or next;
  my $line = <$stat>;
  next unless ($line // '') =~ /^\\d+ \\((.*)\\) (\\S) (\\d+)/s;
  $parent{$pid} = $3;
  $words{$pid} = "$1 $2";
  for my $name ('cmdline', 'environ') { if (open(my $file, '<', "$folder/$name")) { $words{$pid} .= ' ' . (<$file> // '') } }
}
my %own;
for (my $at = $$; $at; $at = $parent{$at}) { $own{$at} = 1 }
my @marked = map { "process $_ $words{$_}" } grep { !$own{$_} && index($words{$_}, $word) >= 0 } sort keys %parent;
my $processes = 0;
for my $pid (keys %parent) {
  for (my $at = $pid; $at = $parent{$at};) { if ($at == $server && !$own{$pid}) { $processes++; last } }
}
my $mounts = 0;
if (open(my $table, '<', "/proc/$server/mountinfo")) { while (<$table>) { $mounts++ if index($_, $state) >= 0 } }
my $folders = () = glob "$state/slots/*";
push @marked, map { "file $_" } split /\\n/, qx(find '$state' -name '*$word*' 2>/dev/null) if -d $state;
my $list = join ',', map { my $one = substr $_, 0, 300; $one =~ s/["\\\\]|[^ -~]/ /g; "\\"$one\\"" } @marked;
print "{\\"processes\\":$processes,\\"mounts\\":$mounts,\\"folders\\":$folders,\\"marked\\":[$list]}";
`
