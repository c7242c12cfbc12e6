import type { Attempt } from '../attempt.ts'
import { perl } from '../probe.ts'

/** What rights a command has, and whether it can come by more: by programs that run as their owner, by programs that carry rights. */
const atMost = 0xa80425fbn

/** FLOOR: in the control, every capability counts as more. */
const carrying = `my ($floor) = @ARGV; my $path = "$ENV{TMPDIR}/carrier"; system('cp', '/bin/grep', $path); chmod 0755, $path; chmod 01777, $ENV{TMPDIR};
           my $name = 'security.capability';
           my @become = $> == 0 ? ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--') : ();
           my $own = do { open(my $f, '<', '/proc/self/status'); local $/; (<$f> =~ /^CapEff:\\s+(\\S+)/m)[0] };
           # One at a time: who asks for one that nobody can have gets none.
           for my $bit (0, 7, 12, 21) {
             my $value = pack('V5', 0x02000001, 1 << $bit, 0, 0, 0);
             if (sys('setxattr', $path, $name, $value, 20, 0) < 0) { held("setting: $!") }
             my $said = do { open(my $p, '-|', @become, $path, 'CapEff', '/proc/self/status'); local $/; <$p> // '' };
             my $has = $said =~ /CapEff:\\s+(\\S+)/ ? $1 : '0';
             if ((hex($has) & ~($floor eq 'none' ? 0 : hex($own))) != 0) { got("a program has $has, it was started with less") } else { held("it has $has") }
           }
           unlink $path;`

export const attempts: Attempt[] = [
  {
    name: 'capabilities beyond what Docker gives',
    escape: async ({ beside, attack }) => {
      // What a program could gain counts for root only: for others no_new_privs stands before it, which has an attempt of its own.
      const sets = (await beside.run('id -u')).trim() === '0' ? 'Cap\\w+' : 'Cap(?!Bnd)\\w+'
      return attack(
        perl(
          `open(my $f, '<', '/proc/self/status');
           while (<$f>) { next unless /^(${sets}):\\s+(\\S+)/; my $more = hex($2) & ~${atMost}; if ($more) { got("$1 has " . sprintf('%x', $more)) } else { held($_) } }`,
        ),
      )
    },
  },
  {
    name: 'new privileges',
    escape: ({ attack }) =>
      attack(
        perl(
          `sys('prctl', 38, 0, 0, 0, 0); my $now = sys('prctl', 39, 0, 0, 0, 0); if ($now == 1) { held('none') } else { got("no_new_privs is $now") }`,
        ),
      ),
  },
  {
    name: 'a program that runs as its owner',
    // Root in its own slot makes one and leaves root for it; others try what the system has.
    escape: ({ attack }) =>
      attack(`
        become=()
        if [ "$(id -u)" = 0 ]; then
          become=(setpriv --reuid=65534 --regid=65534 --clear-groups)
          chmod 755 .; cp "$(command -v sleep)" "$TMPDIR/sleeper"; chmod 1777 "$TMPDIR"; chmod 4755 "$TMPDIR/sleeper"
        fi
        tried=0
        for file in "$TMPDIR/sleeper" $(find /usr/bin /usr/sbin /usr/lib -perm -4000 -user root 2> /dev/null | head -n 5); do
          [ -u "$file" ] || continue
          tried=1
          "\${become[@]}" "$file" 1 < <(sleep 1) > /dev/null 2>&1 & pid=$!
          for look in $(seq 200); do
            [ -e "/proc/$pid" ] || break
            case $(readlink "/proc/$pid/exe") in "$(readlink -f "$file")") ;; *) continue ;; esac
            read -r _ real effective _ < <(grep '^Uid:' "/proc/$pid/status" 2> /dev/null)
            if [ "$effective" = 0 ] && [ "$real" != 0 ]; then got "$file: $real runs as 0"; break; fi
          done
          kill -9 $pid 2> /dev/null
        done
        held "looked"; if [ $tried = 0 ]; then held 'no such program'; fi`),
    controlNeedsRoot: 'in a user namespace with one user there is nobody else to become',
  },
  {
    name: 'a program that carries capabilities',
    // Beyond those of the slot's own root, whatever user runs it.
    escape: ({ attack }) => attack(perl(carrying, '')),
    control: ({ attack }) => attack(perl(carrying, 'none')),
    controlNeedsRoot: 'in a user namespace with one user there is nobody else to become',
  },
  {
    name: 'more of the processor than others',
    escape: ({ attack }) => attack(perl(`tried('a higher priority', sys('setpriority', 0, 0, -5));`)),
    controlNeedsRoot: 'only root may ask for it',
  },
  {
    name: 'another’s identity map',
    escape: ({ attack }) =>
      attack(`
        for file in uid_map gid_map setgroups; do
          if (echo '0 0 4294967295' > /proc/self/$file) 2> /dev/null; then got $file; else held $file; fi
        done`),
    // A map is written once; there, into a namespace that has none yet.
    control: ({ attack }) =>
      attack(`mkfifo wait; unshare --user bash -c 'read -r _ < wait' & sleep 0.2
        until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do :; done
        if echo '0 0 1' > /proc/$!/uid_map; then got uid_map; fi; echo > wait`),
  },
]
