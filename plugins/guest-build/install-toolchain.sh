#!/bin/sh
# Sees to it that this machine can build Rust for wasm32-unknown-unknown; does nothing where it can already.
# The same order as in src/toolchain.rs: the target of the usual toolchain, then Debian's packages.
set -eu

target=wasm32-unknown-unknown
cd "$(dirname "$0")" # rust-toolchain.toml chooses the toolchain

has_target() {
    sysroot=$(rustc --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/$target/lib" ]
}

has_debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library ]
}

if has_target || has_debian; then
    exit 0
fi

if command -v rustup >/dev/null 2>&1; then
    echo "doproxy: installing the Rust target $target (rustup target add)" >&2
    # rustup has no timeout of its own for a mirror that does not answer.
    if timeout 60 rustup target add "$target" >&2 && has_target; then
        exit 0
    fi
    echo "doproxy: rustup could not install it" >&2
fi

if command -v apt-get >/dev/null 2>&1; then
    packages="rustc-web cargo-web rust-web-src lld"
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "doproxy: installing $packages (apt-get) to build plugins for $target" >&2
    $sudo apt-get update >&2 || true
    # shellcheck disable=SC2086 # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $packages >&2
    has_debian && exit 0
fi

echo "doproxy: could not install a toolchain for $target; install it by hand: rustup target add $target" >&2
exit 1
