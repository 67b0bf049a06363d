# Each line is a command that a person could type. Missing tools are installed, and what is installed is said.

.PHONY: demo test lint bench fuzz chaos

# The first build takes minutes, so it shows how far it is.
demo: prerequisites-demo
	@cargo build --locked -p doproxy
	cargo run --quiet --locked -p doproxy -- demo

test: prerequisites-test
	cargo test --workspace --locked

# Random histories of the fleet, as many as you like; a failing one is told in its shortest form.
SEEDS ?= 20000
chaos: prerequisites-demo
	cargo test --locked -p doproxy --test chaos -- --seeds $(SEEDS)

lint: prerequisites-demo
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml > /dev/null # its lock is of today

# Prints the figures of docs/benchmarks.md; takes a while, most of it to build with optimisation.
# The last line is simulate as it is installed: linked with optimisation, which takes a quarter of an hour.
bench: prerequisites-demo
	cargo bench --locked -p doproxy --benches
	CARGO_PROFILE_BENCH_LTO=thin cargo bench --locked -p doproxy --bench simulate

# Each target for so long; what is found lies in tests/fuzz/artifacts, and belongs into tests/fuzz/corpus once mended.
FUZZ_SECONDS ?= 60
FUZZ = cargo +nightly fuzz
fuzz: prerequisites-demo
	@tests/prerequisites.sh g++ cargo-fuzz
	@for target in $$($(FUZZ) list --fuzz-dir tests/fuzz); do \
		echo "fuzz: $$target, $(FUZZ_SECONDS) s" && mkdir -p tests/fuzz/target/found/$$target && \
		$(FUZZ) run --fuzz-dir tests/fuzz --sanitizer none $$target \
			tests/fuzz/target/found/$$target tests/fuzz/corpus/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

.PHONY: prerequisites-demo prerequisites-test
prerequisites-demo:
	@plugins/guest-build/install-toolchain.sh
	@tests/prerequisites.sh haproxy

prerequisites-test: prerequisites-demo
	@tests/prerequisites.sh python3-venv strace faketime docker-registry skopeo openssl npm plugin-toolchains \
		pkg-config libssl-dev sigstore
