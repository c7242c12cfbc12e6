import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

t.setTimeout(120_000)

/** All that a tenant can find out about its slot, but for numbers of processes. */
const look = [
  'for folder in . "$HOME" "$TMPDIR" /tmp /dev/shm /var/tmp; do echo "in $folder"; [ "$(stat -c %u "$folder")" != "$(id -u)" ] || ls -lA --time-style=+ "$folder"; done',
  'stat -c "%A %u %g" . "$HOME" "$TMPDIR"',
  'find "$PWD" "$HOME" "$TMPDIR" ! -type d',
  'env | grep -v EXECUTION | sort; pwd; umask; id; hostname; ulimit -a; tty',
  'cat /proc/self/limits /proc/self/cgroup; grep -E "^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups)" /proc/self/status',
  'cut -d" " -f5- /proc/self/mountinfo | sort; ls /proc/self/fd',
  'cat /etc/resolv.conf /etc/hostname /etc/passwd; ip -brief address | cut -d@ -f1',
  'history; ls -A ~/.bash_history',
].join('\n')

const asRoot = process.geteuid?.() === 0

for (const isolation of ['jail', 'uid'] as const) {
  const skip = isolation === 'uid' && !asRoot ? 'only root can give each slot a uid of its own' : false
  t.test(`the jail that isolation ${isolation} was tried in has nothing of that when it is the first slot`, { skip }, async (t) => {
    const { client, lease, folder } = await sandboxServer(t, { isolation, slots: 1 })
    const folders = () => readdir(join(folder, 'slots'))
    const [tried] = await folders()
    const seen: string[] = []
    for (const taskId of ['first', 'second', 'third']) {
      const { leaseId, slot } = await lease(taskId)
      t.equal(slot, 0)
      t.equal((await folders()).includes(tried as string), taskId === 'first', 'the first has it, and nobody after that')
      const { stdout } = await ran(client, leaseId, look)
      // Each slot's folder, its control groups and its link outward have a number of their own.
      seen.push(stdout.replaceAll(folder, '').replace(/\b0-\w+|(?<=slot-|run-)[\d-]+|(?<=eth0|lowerdir=|upperdir=|workdir=)\S*/g, '…'))
      const processes = await ran(client, leaseId, 'ps -u "$(id -u)" -o args=')
      t.notMatch(processes.stdout, /exit 42|echo here/)
      await client.release(leaseId)
    }
    t.match(seen[0], /PATH=/)
    t.equal(seen[0], seen[1])
    t.equal(seen[1], seen[2])
  })
}
