# Each line is a command that a person could type. Missing tools are installed, and what is installed is said.

.PHONY: demo test lint bench

demo: prerequisites-demo
	cargo run --quiet --locked -p doproxy -- demo

test: prerequisites-test
	cargo test --workspace --locked

lint: prerequisites-demo
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Prints the figures of docs/benchmarks.md; takes a while, most of it to build with optimisation.
bench: prerequisites-demo
	cargo bench --locked -p doproxy --benches

.PHONY: prerequisites-demo prerequisites-test
prerequisites-demo:
	@plugins/guest-build/install-toolchain.sh
	@tests/prerequisites.sh haproxy

prerequisites-test: prerequisites-demo
	@tests/prerequisites.sh python3-venv strace faketime
