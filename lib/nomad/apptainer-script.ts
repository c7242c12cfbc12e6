import { imageFile } from '../wire/provenance.ts'

/** Where the container has the folder for its slots, which lies in the task's on the node, the token, and what the image is. */
export const stateFolder = '/var/lib/slotpool'
const secretsFolder = '/run/slotpool'
export const tokenFile = `${secretsFolder}/token`

/** The name of the token in the job's variable, and of its file in the secrets folder of the task. */
export const tokenItem = 'token'

/** By their numbers (linux/capability.h): what Apptainer gives a container of root, and refuses to start without. */
const capabilities = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW
  IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
  MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`

/**
 * What a `raw_exec` task runs on its node, by `/bin/sh -c SCRIPT sh NODE IMAGE WORD…`: it looks at what the node has and becomes Apptainer, with the
 * WORDs as the last ones of `apptainer exec`. What the node lacks it says as a sandbox server says why it cannot start.
 *
 * Of the agent's environment and Nomad's the container gets the node's addresses alone, which slots must not reach. There is no `${` in it: Nomad
 * would take that for a variable of its own.
 */
export const apptainerScript = `set -eu
node=$1 image=$2
shift 2

# fail CODE MESSAGE
fail() {
  message=$(printf %s "$2" | tr -d '\\000-\\037' | sed 's/[\\"]/\\\\&/g')
  printf 'slotpool-error: {"code":"%s","message":"%s","retryable":false}\\n' "$1" "$message" >&2
  exit 1
}

program=$(command -v apptainer || command -v singularity || true)
if [ -z "$program" ]; then
  fail NOMAD_TASK_FAILED "node $node has neither apptainer nor singularity on the PATH of its Nomad agent, which is $PATH; expected one of them on every node that the pool may use"
fi
case $image in
/*)
  if [ ! -r "$image" ]; then
    fail IMAGE_NOT_FOUND "node $node has no image $image that its Nomad agent may read; expected that file on every node that the pool may use (slotpool image build --driver singularity makes it)"
  fi
  ;;
esac

# Of what Apptainer gives to root, that which this root does not have.
if [ "$(id -u)" -eq 0 ]; then
  bounding=$(sed -n 's/^CapBnd:[^0-9a-f]*//p' /proc/self/status)
  last=$(cat /proc/sys/kernel/cap_last_cap)
  number=0 lacking= comma=
  for name in ${capabilities.trim().replace(/\s+/g, ' ')}; do
    if [ "$number" -le "$last" ] && [ $((0x$bounding >> number & 1)) -eq 0 ]; then lacking=$lacking$comma'CAP_'$name comma=,; fi
    number=$((number + 1))
  done
  if [ -n "$lacking" ]; then set -- --drop-caps "$lacking" "$@"; fi
fi

# What jails are made with, where the node has it: a device that Apptainer leaves out, one for networks, and control groups.
for path in /dev/full /dev/net/tun /sys/fs/cgroup; do
  if [ -e "$path" ]; then set -- --bind "$path" "$@"; fi
done

mkdir -p "$NOMAD_TASK_DIR/slotpool"
set -- --bind "$NOMAD_TASK_DIR/slotpool:${stateFolder}" --bind "$NOMAD_SECRETS_DIR/${tokenItem}:${tokenFile}:ro" "$@"
set -- --bind "$NOMAD_SECRETS_DIR/${imageFile}:${secretsFolder}/${imageFile}:ro" "$@"
set -- --env TINI_SUBREAPER=1 --env "NOMAD_IP_http=$NOMAD_IP_http" --env "NOMAD_HOST_IP_http=$NOMAD_HOST_IP_http" "$@"
set -- "$program" --quiet exec --containall --no-home --pwd / "$@"
# For what it unpacks: this goes with the allocation.
set -- "APPTAINER_TMPDIR=$NOMAD_ALLOC_DIR/tmp" "SINGULARITY_TMPDIR=$NOMAD_ALLOC_DIR/tmp" "$@"
if [ -n "$(printenv HOME)" ]; then set -- "HOME=$HOME" "$@"; fi
exec env -i "PATH=$PATH" "$@"
`
