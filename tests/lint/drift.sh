#!/bin/sh
# Compares the files that `make generate` writes with those in the repository, and lists the files that differ.
#
#   tests/lint/drift.sh GENERATED_DIR
set -eu

generated=$1
cd "$(dirname "$0")/../.."

files=$(cd "$generated" && find . -type f | sed 's|^\./||' | sort)
[ -n "$files" ] || { echo "drift: no files in $generated" >&2; exit 1; }
failed=
for file in $files; do
    if ! cmp -s "$generated/$file" "$file"; then
        diff -u "$file" "$generated/$file" 2>&1 | head -20 || true
        failed=1
    fi
done
for file in docs/man/*.1; do
    if [ ! -e "$generated/$file" ]; then
        echo "drift: no command has the man page $file; delete it" >&2
        failed=1
    fi
done
[ -z "$failed" ] || { echo "drift: generated files are out of date; run: make generate" >&2; exit 1; }
