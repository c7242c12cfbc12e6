import type { Attempt } from '../attempt.ts'
import { newFolder, quoted, startBeside } from '../beside.ts'
import { perl } from '../probe.ts'

/** Goes for what the server itself has: its socket or port, its token, its arguments, its folder, its environment, and Docker's socket. */
const connectUnix = (paths: readonly string[]): string =>
  perl(
    `use Socket; for my $path (@ARGV) {
       socket(my $s, PF_UNIX, SOCK_STREAM, 0); if (length($path) > 107) { held("$path is too long"); next }
       if (connect($s, pack_sockaddr_un($path))) { got($path) } else { held("$path: $!") }
     } held('looked');`,
    ...paths,
  )

export const attempts: Attempt[] = [
  {
    name: 'the server’s socket',
    except: { docker: 'it listens at a port there', nomad: 'it listens at a port there' },
    escape: ({ beside, attack }) =>
      attack(connectUnix([beside.server.endpoint.socketPath ?? '', `/proc/1/root${beside.server.endpoint.socketPath ?? ''}`])),
  },
  {
    name: 'sockets of Docker and its kind',
    escape: async ({ beside, mark, after, attack }) => {
      const folder = await newFolder(beside)
      after(() => beside.run(`rm -rf ${folder}`))
      const own = `${folder}/docker.sock`
      const listening = perl(
        `use Socket; my ($path, $ready) = @ARGV; socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un($path)) or die $!; listen($s, 5); chmod 0777, $path; open(my $r, '>', $ready); print $r "r\\n"; close $r; sleep 600; # ${mark}`,
        own,
      )
      await beside.run(`chmod 755 ${folder}`)
      const other = await startBeside(beside, `exec ${listening} "$READY"`)
      after(other.end)
      return attack(
        connectUnix([
          own,
          '/var/run/docker.sock',
          '/run/docker.sock',
          '/run/containerd/containerd.sock',
          '/run/podman/podman.sock',
          '/var/run/nomad.sock',
          '/run/dbus/system_bus_socket',
        ]),
      )
    },
  },
  {
    name: 'the server’s token',
    escape: async ({ beside, attack }) => {
      const { token, stateDir } = beside.server
      // Split, so that the search does not find itself.
      const [head, tail] = [token.slice(0, 10), token.slice(10)]
      const known = (
        await beside.run(`tr '\\0' '\\n' < /proc/${beside.server.pid}/cmdline | grep -A 1 -x -e --token-file | tail -n 1`)
      ).trim()
      return attack(`
        word=${head}'\\|'; word=${head}
        for file in ${quoted(known)} ${stateDir}/*/token ${stateDir}/token /run/slotpool/token /secrets/* /proc/*/environ /proc/*/cmdline /proc/*/root/run/slotpool/token; do
          if [ -f "$file" ] && timeout 2 grep -aq "$word"${tail} "$file" 2> /dev/null; then case $file in /proc/$$/*|/proc/self/*|/proc/thread-self/*|/proc/$PPID/*) ;; *) got "$file" ;; esac; fi
        done; held looked`)
    },
  },
  {
    name: 'the server’s folders',
    escape: async ({ beside, attack }) => {
      const { stateDir } = beside.server
      return attack(`
        for folder in ${stateDir} ${stateDir}/slots ${stateDir}/pipes /run/slotpool /var/lib/slotpool /secrets /alloc /local /opt/slotpool; do
          found=$(ls -A "$folder" 2> /dev/null | head -n 2)
          if [ -n "$found" ]; then got "$folder: $found"; else held "$folder"; fi
        done`)
    },
  },
  {
    name: 'the server’s environment',
    escape: ({ attack }) =>
      attack(
        `found=$(env | grep -E '^(NOMAD|AWS|SSH_AUTH|TERMINAL|NODE|npm|SLOTPOOL_READY|SLOTPOOL_TEST|DOCKER|VAULT|CONSUL)_'); if [ -n "$found" ]; then got "$found"; else held environment; fi`,
      ),
    // It is said to the command there as if it came from the server.
    control: ({ attacker, attack }) =>
      attack(`export NOMAD_TOKEN=${attacker.slot}-secret; if env | grep -q '^NOMAD_'; then got 'a variable of Nomad’s'; fi`),
  },
  {
    name: 'the environment of whoever opened the pool',
    escape: async ({ attack }) => {
      const names = Object.keys(process.env).filter(
        (name) =>
          /^[A-Z_]+$/.test(name) &&
          !/^(PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LANG|TERM|PWD|SHLVL|_|LC_ALL|PAGER|DEBIAN_FRONTEND|XDG_(CONFIG|CACHE|DATA|STATE)_HOME|GIT_PAGER|HOSTNAME)$/.test(
            name,
          ),
      )
      return attack(
        `for name in ${names.join(' ')}; do if [ -n "\${!name+set}" ]; then got "$name"; else held "$name"; fi; done; held looked`,
      )
    },
    control: ({ attack }) =>
      attack(`export TERMINAL_TOKEN=x; for name in TERMINAL_TOKEN; do if [ -n "\${!name+set}" ]; then got "$name"; fi; done`),
  },
]
