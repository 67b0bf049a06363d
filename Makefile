# Each line is a command that a person could type. Missing tools are installed, and what is installed is said.

.PHONY: demo test lint bench

demo: prerequisites-demo
	cargo run --quiet --locked -p doproxy -- demo

test: prerequisites-test
	cargo test --workspace --locked

lint: prerequisites-demo
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Prints the table of docs/benchmarks.md; takes some minutes, most of them to build with optimisation.
bench: prerequisites-demo
	cargo bench --locked -p doproxy
	cargo build --release --locked -p doproxy
	tests/bench.sh target/release/doproxy

.PHONY: prerequisites-demo prerequisites-test
prerequisites-demo:
	@plugins/guest-build/install-toolchain.sh
	@tests/prerequisites.sh haproxy

prerequisites-test: prerequisites-demo
	@tests/prerequisites.sh python3-venv
