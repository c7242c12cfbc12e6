#!/bin/bash
# slot-programs.sh FOLDER BASH: puts into FOLDER what the server runs in the slots of an image that has nothing of it. Slots see it read-only at
# /run/slotpool. BASH is a statically linked one. The other programs find their libraries there, whatever C library the image has.
set -euo pipefail
folder=$1 bash=$2
place=/run/slotpool

mkdir -p "$folder/bin" "$folder/lib"
# It loads nothing: what a command or its image sets for a loader is for other programs.
install -m 755 "$bash" "$folder/bin/bash"
# What the scripts of lib/sandbox run there; those of lib/sandbox/files want GNU's.
for program in cat chmod find mkdir mv readlink rm rmdir stat tar; do
  file=$(realpath "$(command -v "$program")")
  install -m 755 "$file" "$folder/bin/$program"
  for library in $(ldd "$file" | grep -o '/[^ ]*'); do install -m 755 "$(realpath "$library")" "$folder/lib/${library##*/}"; done
  loader=$(patchelf --print-interpreter "$file")
  patchelf --set-interpreter "$place/lib/${loader##*/}" --force-rpath --set-rpath "$place/lib" "$folder/bin/$program"
done
