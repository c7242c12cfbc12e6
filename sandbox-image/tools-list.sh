#!/bin/bash
# tools-list.sh: prints what of this image makes a root filesystem for a sandbox server (`copy-tools`), beside /opt/slotpool: the programs that the
# server runs, with all that these load, each file by its name and by the links that lead to it.
set -euo pipefail

programs=(
  # How it is started, and what runs in the door of a slot.
  tini env node bash perl
  # What lib/sandbox runs, and what its shell scripts use.
  cat chmod cp find mkdir mkfifo mknod mount mv nice nsenter rm setpriv sleep tar umount unshare ip
  iptables{,-nft,-legacy}{,-save,-restore}
)

trail() {
  local path=$1 part so_far='' rest
  rest=${path#/}
  while [ -n "$rest" ]; do
    part=${rest%%/*}
    rest=${rest#"$part"}
    rest=${rest#/}
    so_far+=/$part
    [ -L "$so_far" ] || continue
    echo "$so_far"
    path=$(readlink "$so_far")
    case $path in /*) ;; *) path=${so_far%/*}/$path ;; esac
    trail "$(realpath -s "$path${rest:+/$rest}")"
    return
  done
  echo "$so_far"
}

{
  for program in "${programs[@]}"; do
    # Of the packet filter one variant is enough.
    type -P "$program" || [[ $program = iptables* ]] || { echo "$program: not found" >&2; exit 1; }
  done
  # Looked for while programs run: Perl's own part, parts of the packet filter, those of Debian's Node.
  find $(perl -e 'print join " ", grep { m{/perl-base$} } @INC') $(ls -d /usr/lib/*/xtables /usr/share/nodejs 2> /dev/null) ! -type d
  ls -d /etc/protocols /etc/services /etc/nsswitch.conf /etc/passwd /etc/group 2> /dev/null || true
} | while read -r file; do
  echo "$file"
  case $(head -c 4 "$file" | tr -d '\0') in
    *ELF) ldd "$file" 2> /dev/null | grep -o '/[^ ]*' || true ;;
  esac
done | sort -u | while read -r file; do trail "$file"; done | sed "s:^/::" | sort -u
