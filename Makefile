# The index of commands: `make help` lists them. Each recipe is a command that a person could type.
# Missing tools are installed first, with a message: packages with apt-get, everything else below the target directory.

.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tools installed by tests/prerequisites.sh take precedence over the machine's.
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
export PATH := $(TARGET)/tools/bin:$(PATH)

DOPROXY = cargo run --quiet --locked -p doproxy --

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-15s %s\n", $$1, $$2 }'

##### Try it

# The first build takes minutes and shows its progress.
.PHONY: demo
demo: prerequisites-demo ## play the tutorial on this machine
	@cargo build --locked -p doproxy
	$(DOPROXY) demo

##### Test

# `make test` runs each test binary as one process, which compiles the plugins once and takes a quarter of an hour.
# RUNNER=nextest runs one process per test, in the groups of .config/nextest.toml, and terminates tests that hang: slower
# over everything, better for finding the one that hangs.
RUNNER ?= cargo
UNIT_RUNNER ?= $(shell PATH="$(PATH)" cargo nextest --version >/dev/null 2>&1 && echo nextest || echo cargo)
PROFILE ?= $(if $(CI),ci,default)

.PHONY: test test-with-nextest test-with-cargo
test: prerequisites-test ## run every test
	@$(MAKE) --no-print-directory test-with-$(RUNNER)

test-with-nextest:
	@tests/prerequisites.sh nextest
	cargo nextest run --workspace --locked --profile $(PROFILE)
	cargo test --workspace --locked --doc
	cargo test --locked -p doproxy --test chaos

test-with-cargo:
	cargo test --workspace --locked

# Needs no system tools and no network; takes less than a minute when built.
.PHONY: test-unit unit-with-nextest unit-with-cargo
test-unit: prerequisites-build ## run the unit tests
	@$(MAKE) --no-print-directory unit-with-$(UNIT_RUNNER)

unit-with-nextest:
	cargo nextest run --workspace --lib --bins --locked --profile unit

unit-with-cargo:
	cargo test --workspace --exclude doproxy-model --lib --bins --locked -- \
		--skip haproxy::tests:: --skip interoperate_with_openssl

SEEDS ?= 20000
.PHONY: chaos
chaos: prerequisites-demo ## run SEEDS random histories of a fleet; a failing one is printed in its shortest form
	cargo test --locked -p doproxy --test chaos -- --seeds $(SEEDS)

# New inputs are in tests/fuzz/target/found and tests/fuzz/artifacts; add them to tests/fuzz/corpus with the fix.
FUZZ_SECONDS ?= 60
FUZZ = cargo +nightly fuzz
.PHONY: fuzz
fuzz: prerequisites-demo ## fuzz each target for FUZZ_SECONDS
	@tests/prerequisites.sh g++ cargo-fuzz
	@for target in $$($(FUZZ) list --fuzz-dir tests/fuzz); do \
		echo "fuzz: $$target, $(FUZZ_SECONDS) s" && mkdir -p tests/fuzz/target/found/$$target && \
		$(FUZZ) run --fuzz-dir tests/fuzz --sanitizer none $$target \
			tests/fuzz/target/found/$$target tests/fuzz/corpus/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

# The last line links with optimization, like an installed doproxy, which takes a quarter of an hour.
.PHONY: bench
bench: prerequisites-demo ## print the figures of docs/explanation/benchmarks.md; takes a while
	cargo bench --locked -p doproxy --benches
	CARGO_PROFILE_BENCH_LTO=thin cargo bench --locked -p doproxy --bench simulate

##### Check

.PHONY: lint lint-text lint-deps lint-rust lint-generated
lint: lint-text lint-deps lint-rust lint-generated ## check prose, names, spelling, dependencies, code, generated files

# The fast checks, without a build.
lint-text: prerequisites-lint ## check prose, old names, spelling, formatting
	cargo fmt --all --check
	python3 tests/lint/prose.py
	python3 tests/lint/names.py
	typos

# Licenses, duplicate versions and sources (deny.toml). The second line checks that the lock file of the fuzz targets is
# current.
lint-deps: prerequisites-lint ## check dependencies
	cargo deny --locked check bans licenses sources
	cargo metadata --locked --format-version 1 --manifest-path tests/fuzz/Cargo.toml > /dev/null

lint-rust: prerequisites-build ## run clippy and rustdoc, with warnings denied
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

lint-generated: prerequisites-build ## check that generated files are current
	rm -rf $(TARGET)/generated
	$(DOPROXY) generate-reference $(TARGET)/generated
	tests/lint/examples.sh $(TARGET)/generated
	tests/lint/drift.sh $(TARGET)/generated

.PHONY: audit
audit: prerequisites-lint ## check dependencies for known vulnerabilities; requires network access
	cargo deny --locked check advisories

##### Write

# The command-line reference, man pages, the JSON Schema and the reference of doproxy.yml, the metrics reference, and
# the example projects with their copies of the contract.
.PHONY: generate
generate: prerequisites-build ## write the generated references and examples
	$(DOPROXY) generate-reference .
	tests/lint/examples.sh .

.PHONY: docs
docs: ## build the book in docs/ into target/book
	@tests/prerequisites.sh mdbook
	mdbook build docs --dest-dir $(TARGET)/book

##### Prerequisites

.PHONY: prerequisites-build prerequisites-demo prerequisites-lint prerequisites-test
prerequisites-build:
	@plugins/guest-build/install-toolchain.sh

prerequisites-demo: prerequisites-build
	@tests/prerequisites.sh haproxy

prerequisites-lint: prerequisites-build
	@tests/prerequisites.sh python3-venv lint-tools

prerequisites-test: prerequisites-demo
	@tests/prerequisites.sh curl python3-venv strace faketime docker-registry skopeo openssl npm plugin-toolchains \
		pkg-config libssl-dev sigstore
