import { arch } from 'node:process'
import { quoted } from './beside.ts'

/** What scripts of attempts say their outcome with; see `Scene.attack`. */
export const prelude = `
got() { printf 'GOT %s\\n' "$*"; }
held() { printf 'held %s\\n' "$*"; }
attempt() {
  local said code
  said=$("$@" 2>&1 < /dev/null); code=$?
  case $code in
    0) got "$*: $said" ;;
    127) printf 'BROKEN %s\\n' "$*: $said" ;;
    *) held "$*: $said" ;;
  esac
}
`

/** What a script got; null when all it tried was held. @throws when it tried nothing. */
export function outcome(result: { stdout: string; stderr: string; exitCode: number | null }): string | null {
  const lines = result.stdout.split('\n')
  const got = lines.filter((line) => line.startsWith('GOT '))
  const broken = lines.some((line) => line.startsWith('BROKEN '))
  const missing = /command not found|Can't locate |syntax error|unexpected EOF|Undefined subroutine/.test(result.stderr)
  if (broken || missing || (got.length === 0 && !lines.some((line) => line.startsWith('held '))))
    throw new Error(`the attempt tried nothing: exit ${result.exitCode}\n${result.stdout.slice(-2000)}\n${result.stderr.slice(-2000)}`)
  return got.length === 0 ? null : got.join('\n').slice(0, 2000)
}

/** By architecture, as Node names it: [x64, arm64]. A tenant needs no library to make these calls. */
const calls: Record<string, [number, number]> = {
  add_key: [248, 217],
  bpf: [321, 280],
  chroot: [161, 51],
  clone: [56, 220],
  finit_module: [313, 273],
  fsopen: [430, 430],
  inotify_add_watch: [254, 27],
  inotify_init1: [294, 26],
  io_uring_setup: [425, 425],
  // There is none on arm64: ENOSYS.
  iopl: [172, 9999],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  memfd_create: [319, 279],
  mknodat: [259, 33],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  mq_open: [240, 180],
  msgctl: [71, 187],
  msgget: [68, 186],
  msgrcv: [70, 188],
  msgsnd: [69, 189],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pivot_root: [155, 41],
  prctl: [157, 167],
  process_vm_readv: [310, 270],
  ptrace: [101, 117],
  reboot: [169, 142],
  request_key: [249, 218],
  semctl: [66, 191],
  semget: [64, 190],
  setns: [308, 268],
  setpriority: [141, 140],
  setxattr: [188, 5],
  shmat: [30, 196],
  shmctl: [31, 195],
  shmget: [29, 194],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
}

const numbers = Object.entries(calls).map(([name, [x64, arm64]]) => `${name}=>${arch === 'arm64' ? arm64 : x64}`)

/**
 * A command that runs a Perl script, Perl being what every Debian has. It has `sys NAME, ARGUMENTS` for a system call by its name (a number
 * goes as a number, a string as the address of its bytes), `got` and `held`, and `tried NAME, RESULT`, which says either by a result that is
 * negative on failure. Error numbers that come only after the check of rights are named after it, and count
 * as got.
 */
export function perl(script: string, ...args: readonly string[]): string {
  const head = `
use strict; use warnings; use POSIX (); use Fcntl; $| = 1;
my %calls = (${numbers.join(',')});
# Copies: syscall does not take a constant string. What the kernel is to write to is given by its address.
sub sys { my ($name, @given) = @_; die "no call $name" unless $calls{$name}; return syscall($calls{$name}, @given); }
sub address { return unpack('Q', pack('P', $_[0])); }
sub got { print "GOT @_\\n"; } sub held { print "held @_\\n"; }
sub tried { my ($name, $result, @passed) = @_; my $errno = $! + 0; my $error = "$!";
  if ($result >= 0 || grep { $_ == $errno } @passed) { got($name, $result, $error) } else { held($name, $error) } return $result; }
`
  return `perl -e ${quoted(`${head}\n${script}`)} -- ${args.map(quoted).join(' ')}`
}
