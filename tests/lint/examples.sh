#!/bin/sh
# Writes the generated part of examples/ below a directory: the projects in policies/, as `doproxy plugin new` creates
# them from templates/plugin, and the copy of the contract in business-hours/.
#
#   tests/lint/examples.sh DIRECTORY
#
# `make generate` writes into the repository; `make lint-generated` writes elsewhere, and drift.sh compares.
set -eu

mkdir -p "$1"
output=$(cd "$1" && pwd)/examples
cd "$(dirname "$0")/../.."

cargo build --quiet --locked -p doproxy
doproxy=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/debug/doproxy
# `plugin new` creates a directory in the current one, and rejects an existing directory.
projects=$(mktemp -d)
trap 'rm -rf "$projects"' EXIT

for language in rust python js c; do
    mkdir -p "$projects/$language" "$output/policies/$language"
    (cd "$projects/$language" && "$doproxy" plugin new per-droplet --lang "$language" --kind policy >/dev/null)
    cp -R "$projects/$language/per-droplet/." "$output/policies/$language"
done
mkdir -p "$output/business-hours/wit"
cp wit/doproxy-plugin@0.1.0/*.wit "$output/business-hours/wit"
