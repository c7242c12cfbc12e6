import { slotCapabilities } from './capabilities.ts'

/**
 * Brings a program into a slot that has a root filesystem of its own. Runs as root in the slot's mount, IPC, UTS and network namespaces,
 * with the server's own files in view. bubblewrap does the rest, and its own part stays outside: it enters the PID namespace, makes the
 * slot's root its own, and only then the user namespace, so that the first program from the slot runs with the slot's rights and no more.
 *
 * Arguments: the slot's folder, a compiled seccomp filter or nothing, commands to run before (they join control groups and set limits), then
 * bubblewrap's `--setenv` options, `--` and the program. In the slot descriptors 8 and 9 are those of its own namespaces.
 */
export const entryScript = `
slot=$1 filter=$2
eval "$3" || exit 125
shift 3
exec 8< "$slot/user-namespace" 9< "$slot/pid-namespace" || exit 125
filtered=()
if [ -n "$filter" ]; then exec 7< "$filter" || exit 125; filtered=(--seccomp 7); fi
exec bwrap --dev-bind "$slot/root" / --pidns 9 --userns2 8 "\${filtered[@]}" --die-with-parent --new-session --chdir /workspace \\
  --cap-drop ALL ${slotCapabilities.map((name) => `--cap-add ${name}`).join(' ')} --clearenv "$@"
`
