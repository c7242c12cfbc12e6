/**
 * Shell scripts that start what is hard to end; each prints `begun` once it runs, and how many processes it leaves at least.
 */
export const persistent: Readonly<Record<string, { script: string; least: number }>> = {
  'a plain child in the background': { script: 'sleep 1000 & echo begun; wait', least: 2 },
  'a session of its own': { script: 'setsid --fork sleep 1000; echo begun; sleep 1000; :', least: 2 },
  'a double fork without environment': {
    script: `( ( env -i perl -e 'use POSIX; setsid(); exit if fork(); exit if fork(); sleep 1000' & ) ); echo begun; sleep 1000`,
    least: 1,
  },
  'stopped processes': { script: `for i in 1 2 3; do (kill -STOP $BASHPID; sleep 1000) & done; echo begun; wait`, least: 4 },
  'processes that ignore signals': { script: `trap '' TERM INT HUP; (trap '' TERM; sleep 1000) & echo begun; wait`, least: 2 },
  'chains that fork and exit without pause': {
    script: `perl -e '$| = 1; for (1..8) { if (fork() == 0) { while (1) { exit 0 if fork() } } } print "begun\\n"; sleep 1000'`,
    least: 1,
  },
  'a tree that grows to a bound': {
    script: `perl -e '$| = 1; print "begun\\n"; my $d = 0; while (1) { my $p = fork(); if (!defined $p || ++$d > 6) { sleep 1000 } }'`,
    least: 1,
  },
  'a parent that reaps no child': {
    script: `perl -e '$| = 1; for (1..20) { exit 0 if fork() == 0 } print "begun\\n"; sleep 1000'`,
    least: 1,
  },
  'a process that traces another': {
    // PTRACE_TRACEME; the parent goes on when the child has stopped.
    script: `perl -e '$n = qx(uname -m) =~ /x86_64/ ? 101 : 117; my $p = fork(); if ($p == 0) { syscall($n, 0, 0, 0, 0); kill STOP => $$; sleep 1000 } waitpid $p, 2; $| = 1; print "begun\\n"; sleep 1000'`,
    least: 2,
  },
}
