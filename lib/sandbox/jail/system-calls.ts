/** Numbers of system calls, by Node's name of the architecture (asm/unistd_64.h, asm-generic/unistd.h). */
const systemCalls: Partial<Record<NodeJS.Architecture, Record<string, number>>> = {
  x64: {
    setns: 308,
    prctl: 157,
    capset: 126,
    seccomp: 317,
    setgroups: 116,
    prlimit: 302,
    setsid: 112,
    mount: 165,
    pivotRoot: 155,
    umount: 166,
    unshare: 272,
    setresuid: 117,
    setresgid: 119,
    setfsuid: 122,
    setfsgid: 123,
    sethostname: 170,
    sigprocmask: 14,
    signalfd: 289,
    openat: 257,
    execve: 59,
    keyctl: 250,
  },
  arm64: {
    setns: 268,
    prctl: 167,
    capset: 91,
    seccomp: 277,
    setgroups: 159,
    prlimit: 261,
    setsid: 157,
    mount: 40,
    pivotRoot: 41,
    umount: 39,
    unshare: 97,
    setresuid: 147,
    setresgid: 149,
    setfsuid: 151,
    setfsgid: 152,
    sethostname: 161,
    sigprocmask: 135,
    signalfd: 74,
    openat: 56,
    execve: 221,
    keyctl: 219,
  },
}

/**
 * `call('name', …)` of Perl: a system call, or death with its error. Perl passes numbers as numbers and variables as pointers to their bytes.
 *
 * @throws {RangeError} on an architecture whose system calls are not known here.
 */
export function systemCallTable(): string {
  const numbers = systemCalls[process.arch]
  if (!numbers) throw new RangeError(`got architecture ${process.arch}, expected x64 or arm64`)
  const entries = Object.entries(numbers).map(([name, number]) => `${name} => ${number}`)
  return `my %call = (${entries.join(', ')}); sub call { my $name = shift; my $got = syscall($call{$name}, @_); $got != -1 or die "$name: $!\\n"; $got }`
}
