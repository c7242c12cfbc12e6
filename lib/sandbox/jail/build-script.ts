/**
 * Builds what a slot sees, and then keeps it alive as process 1 of its PID namespace. Runs as root in new mount, PID, IPC and UTS (and
 * network) namespaces, with the server's own files in view: none of what it runs comes from the slot.
 *
 * Descriptor 3 takes what it says: its process id as the server sees it, those of a process in the user namespace for commands and of
 * one in their mount namespace, then `ready`. A line on stdin tells that the server has hold of both and that the network is there.
 * In the slot's folder, `mounts` holds triples of source, target, and `ro` or `rw`, each ended by NUL; `resolv.conf` may be there once the
 * network is. Arguments: the slot's folder, the uid that owns the slot's user namespace, what makes a folder the root
 * (`pivotProgram`), and pairs of a target and the
 * `lowerdir` option of its overlay.
 *
 * The user namespace maps every id to itself. Its root owns the files that root owns, and has no right over any other namespace, not even
 * over those that the slot lives in. Made by a uid of the slot's own, it counts inotify watches and the like for itself.
 */
export const buildScript = `
set -e
slot=$1 owner=$2 pivot=$3; shift 3
cd -- "$slot"
read -r pid _ < /proc/self/stat
echo "$pid" >&3

layer=0
while [ $# -gt 0 ]; do
  upper=layers/$layer/upper work=layers/$layer/work
  mkdir -p -- "$upper" "$work" "root$1"
  chmod 755 "$upper"
  # What is lost when the machine stops is of no use to anybody, so nothing waits for the disk.
  mount -t overlay -o "lowerdir=$2,upperdir=$upper,workdir=$work,volatile" slot "root$1"
  shift 2; layer=$((layer + 1))
done

mkdir -p root/proc root/dev root/run root/tmp root/sys root/workspace
mount -t proc -o nosuid,nodev,noexec proc root/proc

# The user namespace, by way of a process that waits in it while it is set up.
coproc inside {
  exec 3>&-
  exec setpriv --reuid="$owner" --regid="$owner" --clear-groups unshare --user bash --norc -c 'read -r pid _ < /proc/self/stat; echo "$pid"; read -r'
}
read -r users <&"\${inside[0]}"
of=root/proc/$inside_PID
echo '0 0 65536' > "$of/uid_map"
echo '0 0 65536' > "$of/gid_map"
nsenter --user="$of/ns/user" bash --norc -c 'echo 0 > root/proc/sys/user/max_user_namespaces'
echo "$users" >&3

for path in bus fs irq sys sysrq-trigger; do
  if [ -e root/proc/$path ]; then
    mount --bind root/proc/$path root/proc/$path
    mount -o remount,bind,ro,nosuid,nodev,noexec root/proc/$path
  fi
done
for path in kcore keys latency_stats timer_list timer_stats sched_debug interrupts; do
  if [ -e root/proc/$path ]; then mount --bind /dev/null root/proc/$path; fi
done
for path in acpi asound scsi; do
  if [ -d root/proc/$path ]; then mount -t tmpfs -o ro,size=4k none root/proc/$path; fi
done

# The server's own program and filter are no part of the system that a slot is built on.
if [ -d root/opt/slotpool ]; then mount -t tmpfs -o ro,mode=000,size=4k none root/opt/slotpool; fi

mount -t tmpfs -o nosuid,noexec,mode=755,size=64k dev root/dev
for device in null zero full random urandom tty; do
  : > root/dev/$device
  mount --bind /dev/$device root/dev/$device
done
mkdir root/dev/pts root/dev/shm
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620 devpts root/dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777,size=256m shm root/dev/shm
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
ln -s fd/0 root/dev/stdin
ln -s fd/1 root/dev/stdout
ln -s fd/2 root/dev/stderr

mount -t tmpfs -o nosuid,nodev,mode=755,size=64m run root/run
mkdir -m 1777 root/run/lock
mount --bind tmp root/tmp

hostname slot
for file in hosts hostname; do rm -f root/etc/$file; done
echo slot > root/etc/hostname
printf '127.0.0.1 localhost slot\\n::1 localhost ip6-localhost ip6-loopback\\n' > root/etc/hosts

mapfile -t -d '' mounts < mounts
for ((at = 0; at < \${#mounts[@]}; at += 3)); do
  source=\${mounts[at]} mode=\${mounts[at + 2]}
  # What the target means is up to the slot's own root: a link in it must not lead out.
  target=root$(chroot root realpath -m -- "\${mounts[at + 1]}")
  if [ -d "$source" ]; then mkdir -p -- "$target"; else mkdir -p -- "\${target%/*}"; [ -e "$target" ] || : > "$target"; fi
  mount --rbind -- "$source" "$target"
  mount -o "remount,bind,nosuid,nodev,$mode" -- "$target"
done

# What commands see: a mount namespace in which nothing but the slot's root is left. The server takes hold of it.
coproc view { exec 3>&-; exec unshare --mount --propagation unchanged --wd=root perl -e "$pivot"; }
read -r pid <&"\${view[0]}"
echo "$pid" >&3

read -r
if [ -e resolv.conf ]; then rm -f root/etc/resolv.conf; cat resolv.conf > root/etc/resolv.conf; fi

exec {inside[1]}>&- {view[1]}>&-
wait || true
echo ready >&3
exec 3>&- 0< /dev/null
cd /
# Nobody's child for long: with the signal ignored the kernel reaps what is orphaned in the slot.
exec setpriv --reuid="$owner" --regid="$owner" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs --pdeathsig KILL \\
  env -i --ignore-signal=CHLD sleep infinity
`
