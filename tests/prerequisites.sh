#!/bin/sh
# Installs what demo and tests need and this machine lacks: HAProxy, Python's venv, strace, libfaketime, a registry and
# another program that speaks to one, the toolchains of plugins in other languages, and the Sigstore project's library as a
# program. Leaves alone what is there.
#
#   tests/prerequisites.sh haproxy python3-venv strace faketime docker-registry skopeo openssl npm plugin-toolchains \
#       pkg-config libssl-dev sigstore
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# Below the target directory, so that `cargo clean` takes them away.
target=${CARGO_TARGET_DIR:-$here/../target}
toolchains=$target/plugin-toolchains
sigstore=$target/sigstore/debug/doproxy-sigstore

# Each version of what is wanted is installed once.
has_toolchains() {
    cmp -s "$here/languages/requirements.txt" "$toolchains/requirements.txt" &&
        cmp -s "$here/../templates/plugin/js-shared/package-lock.json" "$toolchains/package-lock.json"
}

install_toolchains() {
    echo "prerequisites: installing componentize-py, zig and componentize-js below $toolchains"
    rm -rf "$toolchains"
    mkdir -p "$toolchains/js"
    python3 -m venv "$toolchains/python"
    "$toolchains/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/languages/requirements.txt"
    # The starter's own, with some name in it.
    sed 's/{{name}}/toolchain/' "$here/../templates/plugin/js-policy/package.json" >"$toolchains/js/package.json"
    sed 's/{{name}}/toolchain/' "$here/../templates/plugin/js-shared/package-lock.json" >"$toolchains/js/package-lock.json"
    (cd "$toolchains/js" && npm ci --silent --no-audit --no-fund)
    # Last, so that an installation that broke off is done again.
    cp "$here/../templates/plugin/js-shared/package-lock.json" "$here/languages/requirements.txt" "$toolchains"
}

# Built once for each version of it.
has_sigstore() {
    [ -x "$sigstore" ] && [ "$sigstore" -nt "$here/sigstore/Cargo.lock" ] && [ "$sigstore" -nt "$here/sigstore/src/main.rs" ]
}

install_sigstore() {
    echo "prerequisites: building the Sigstore project's library, which takes some minutes"
    cargo build --quiet --locked --manifest-path "$here/sigstore/Cargo.toml" --target-dir "$target/sigstore"
    # Cargo leaves alone what it finds up to date.
    touch "$sigstore"
}

is_there() {
    case $1 in
        haproxy) [ -x /usr/sbin/haproxy ] ;;
        docker-registry) [ -x /usr/bin/docker-registry ] ;;
        skopeo | openssl) command -v "$1" >/dev/null ;;
        strace) command -v strace >/dev/null ;;
        faketime) ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 ;;
        g++) command -v c++ >/dev/null ;;
        cargo-fuzz) command -v cargo-fuzz >/dev/null ;;
        npm) command -v npm >/dev/null && command -v node >/dev/null ;;
        plugin-toolchains) has_toolchains ;;
        sigstore) has_sigstore ;;
        libssl-dev) pkg-config --exists openssl 2>/dev/null ;;
        pkg-config) command -v pkg-config >/dev/null ;;
        python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null ;;
        *) echo "prerequisites: what is $1?" >&2; exit 2 ;;
    esac
}

missing=
for package in "$@"; do
    is_there "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# What is no package of Debian's.
case $missing in
    *cargo-fuzz*)
        cargo +nightly --version >/dev/null 2>&1 || { echo "prerequisites: fuzzing needs nightly Rust: rustup toolchain install nightly" >&2; exit 1; }
        echo "prerequisites: installing cargo-fuzz with cargo"
        cargo install --quiet --locked cargo-fuzz
        missing=$(echo "$missing" | sed 's/ cargo-fuzz//')
        ;;
esac
[ -n "$missing" ] || exit 0

# What needs the packages before it.
with_toolchains=
with_sigstore=
case $missing in
    *plugin-toolchains*)
        missing=$(echo "$missing" | sed 's/ plugin-toolchains//')
        with_toolchains=1
        ;;
esac
case $missing in
    *sigstore*)
        missing=$(echo "$missing" | sed 's/ sigstore//')
        with_sigstore=1
        ;;
esac
install_what_needs_packages() {
    [ -z "$with_toolchains" ] || install_toolchains
    [ -z "$with_sigstore" ] || install_sigstore
}
if [ -z "$missing" ]; then
    install_what_needs_packages
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "prerequisites: please install$missing; this machine has no apt-get" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "prerequisites: please install$missing as root; this machine has no sudo" >&2; exit 1; }
    as_root=sudo
fi

echo "prerequisites: installing$missing with apt-get"
export DEBIAN_FRONTEND=noninteractive
# Debian's registry would listen on all addresses from then on: its unit is masked before it is there. Tests start their
# own, on this machine's own address.
case $missing in
    *docker-registry*)
        if [ ! -e /etc/systemd/system/docker-registry.service ]; then
            $as_root mkdir -p /etc/systemd/system
            $as_root ln -s /dev/null /etc/systemd/system/docker-registry.service
        fi
        ;;
esac
# shellcheck disable=SC2086
$as_root apt-get install -qq -y --no-install-recommends $missing >/dev/null 2>&1 || {
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root apt-get install -qq -y --no-install-recommends $missing >/dev/null
}
install_what_needs_packages
for package in "$@"; do
    is_there "$package" || { echo "prerequisites: $package was installed and cannot be found" >&2; exit 1; }
done
