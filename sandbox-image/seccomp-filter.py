"""Compiles Docker's default seccomp profile for slots: seccomp-filter.py PROFILE.json FOLDER

The folder gets a file named for the machine it was compiled on, as Node calls it: seccomp-x64.bpf or seccomp-arm64.bpf.

A slot has no capability that Docker does not give to every container, so the profile is resolved for those alone. System calls newer than
the profile are answered with ENOSYS, as runc does: programs then do without them, where EPERM would make them fail.
"""

import json
import os
import platform
import re
import sys

import seccomp

# What the root of a slot may do (lib/sandbox/jail/capabilities.ts), as far as the profile asks for it.
CAPABILITIES = {"CAP_SYS_CHROOT"}

# The profile allowed these until moby 25 took them out, since they let a program pass by other rules.
WITHDRAWN = {"io_uring_setup", "io_uring_enter", "io_uring_register"}

EPERM, ENOSYS = 1, 38

# Machines: what the profile calls their architecture, the older one whose programs they run as well, and Node's name.
ARCHITECTURES = {"x86_64": ("amd64", seccomp.Arch.X86, "x64"), "aarch64": ("arm64", seccomp.Arch.ARM, "arm64")}

COMPARISONS = {
    "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_NE": seccomp.NE,
    "SCMP_CMP_LT": seccomp.LT,
    "SCMP_CMP_LE": seccomp.LE,
    "SCMP_CMP_GT": seccomp.GT,
    "SCMP_CMP_GE": seccomp.GE,
    "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def kernel_is_at_least(version):
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return tuple(map(int, found.groups())) >= tuple(map(int, version.split(".")[:2]))


def applies(rule, architecture):
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if includes.get("arches") and architecture not in includes["arches"]:
        return False
    if architecture in excludes.get("arches", []):
        return False
    if not set(includes.get("caps", [])) <= CAPABILITIES:
        return False
    if set(excludes.get("caps", [])) & CAPABILITIES:
        return False
    return "minKernel" not in includes or kernel_is_at_least(includes["minKernel"])


def action(rule):
    if rule["action"] == "SCMP_ACT_ALLOW":
        return seccomp.ALLOW
    if rule["action"] == "SCMP_ACT_ERRNO":
        return seccomp.ERRNO(rule.get("errnoRet") or EPERM)
    raise SystemExit(f"got action {rule['action']}, expected SCMP_ACT_ALLOW or SCMP_ACT_ERRNO")


def argument(arg):
    compare = COMPARISONS[arg["op"]]
    if compare == seccomp.MASKED_EQ:
        return seccomp.Arg(arg["index"], compare, arg["value"], arg.get("valueTwo", 0))
    return seccomp.Arg(arg["index"], compare, arg["value"])


def main(profile_file, folder):
    with open(profile_file, encoding="utf-8") as file:
        profile = json.load(file)
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise SystemExit(f"got machine {machine}, expected one of {', '.join(ARCHITECTURES)}")
    architecture, older, name_in_node = ARCHITECTURES[machine]
    default = seccomp.ERRNO(profile.get("defaultErrnoRet") or EPERM)
    if profile["defaultAction"] != "SCMP_ACT_ERRNO":
        raise SystemExit(f"got default action {profile['defaultAction']}, expected SCMP_ACT_ERRNO")

    def rules():
        for rule in profile["syscalls"]:
            if applies(rule, architecture) and action(rule) != default:
                for name in set(rule["names"]) - WITHDRAWN:
                    yield action(rule), name, map(argument, rule.get("args") or [])

    compiled = seccomp.SyscallFilter(defaction=default)
    for what, name, arguments in rules():
        # -1: of no architecture that is known here. Lower numbers stand for those of other architectures.
        if seccomp.resolve_syscall(seccomp.Arch(), name) >= 0:
            compiled.add_rule(what, name, *arguments)
    numbers = [seccomp.resolve_syscall(seccomp.Arch(), name) for rule in profile["syscalls"] for name in rule["names"]]
    for number in range(max(numbers) + 1, max(numbers) + 100):
        compiled.add_rule(seccomp.ERRNO(ENOSYS), number)

    second = seccomp.SyscallFilter(defaction=default)
    second.add_arch(older)
    second.remove_arch(seccomp.Arch())
    for what, name, arguments in rules():
        if seccomp.resolve_syscall(seccomp.Arch(), name) != -1:
            second.add_rule(what, name, *arguments)
    # A tree instead of a list: the kernel tries every system call against it when it is installed, which is once for each command.
    for each in (compiled, second):
        each.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)
    compiled.merge(second)

    with open(os.path.join(folder, f"seccomp-{name_in_node}.bpf"), "wb") as file:
        compiled.export_bpf(file)


main(*sys.argv[1:])
