#!/usr/bin/env bash
# In the build stage: names.sh ROOT PROGRAM NAME… gives the program its other names, in its own folder or where they say.
set -euo pipefail
root=$1 program=$2
shift 2
for name in "$@"; do
    case "$name" in
    /*) mkdir -p "$root$(dirname "$name")" && ln -s "/usr/bin/$program" "$root$name" ;;
    *) ln -s "$program" "$root/usr/bin/$name" ;;
    esac
done
