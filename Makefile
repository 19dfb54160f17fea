# Everything that people and CI run. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# PROFILE=release for measurements.
PROFILE ?= dev
TARGET := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
DEVSTACK := $(TARGET)/devstack

# Tools that are not part of Rust or Node are installed here once, at these versions.
TOOLS := $(CURDIR)/.devstack/tools
NEXTEST_VERSION := 0.9.143
DENY_VERSION := 0.20.2
export PATH := $(PATH):$(TOOLS)/bin

# $(call need,program,what to do)
need = @command -v $(1) >/dev/null || { echo "$(1) is missing: $(2)" >&2; exit 1; }
COMPILER := install a C linker (on Debian: apt-get install build-essential), then run make again
RUST := install Rust from https://rustup.rs, then run make again
PYTHON := install Python 3.11 or newer (on Debian: apt-get install python3-venv), then run make again
CURL := install curl (on Debian: apt-get install curl), then run make again
NODE := install Node 20 or newer with npm, then run make again

.PHONY: help up down status test fuzz check fmt bench audit nextest deny build client python

help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## Start everything and show how to use it; Ctrl-C stops it
	@exec $(DEVSTACK) up

down: ## Stop what make up started
	@if [ -x $(DEVSTACK) ]; then $(DEVSTACK) down; else echo "nothing runs from this checkout"; fi

status: ## Tell what runs
	@if [ -x $(DEVSTACK) ]; then $(DEVSTACK) status; else echo "nothing runs from this checkout"; exit 1; fi

test: nextest client python ## Set up what the tests need and run all of them
	$(call need,curl,$(CURL))
	cargo build --workspace --all-targets
	$(DEVSTACK) postgres -- cargo nextest run --workspace

# Of the seed and the number of requests to an operation: make fuzz FUZZ_SEED=7 FUZZ_EXAMPLES=500
fuzz: nextest python ## Send many more requests, made from the OpenAPI documents, than make test does
	cargo build --workspace --all-targets
	FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM} FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} FUZZ_PHASES=coverage,fuzzing,stateful \
	    $(DEVSTACK) postgres -- cargo nextest run --workspace --profile fuzz -E 'package(e2e) and test(/^fuzz::/)'

check: deny ## Format, lints, dependencies, documentation: what CI runs before the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --locked --log-level error check bans licenses sources
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

fmt: ## Format the code
	cargo fmt --all

bench: ## List the benchmarks
	@for file in bench/*; do \
	    [ -f $$file ] && [ -x $$file ] && sed -n '2s/^# //p' $$file; \
	done; true

audit: deny ## Look for known vulnerabilities (fetches the database from GitHub)
	cargo deny check advisories

build:
	$(call need,cargo,$(RUST))
	$(call need,cc,$(COMPILER))
	@cargo build --workspace --bins --profile $(PROFILE)

client:
	$(call need,npm,$(NODE))
	@cd tests/studio-client && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; }

# The environment is made anew when the versions change.
python:
	$(call need,python3,$(PYTHON))
	@cmp --silent tests/fuzz/requirements.txt .devstack/python/requirements.txt || { \
	    python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing: $(PYTHON)" >&2; exit 1; }; \
	    echo "installing schemathesis in .devstack/python (once)"; \
	    python3 -m venv --clear .devstack/python && \
	    .devstack/python/bin/pip install --quiet --disable-pip-version-check --requirement tests/fuzz/requirements.txt && \
	    cp tests/fuzz/requirements.txt .devstack/python/; }

nextest:
	$(call need,cargo,$(RUST))
	$(call need,cc,$(COMPILER))
	@cargo nextest --version >/dev/null 2>&1 || { \
	    echo "installing cargo-nextest $(NEXTEST_VERSION) in .devstack/tools (once)"; \
	    cargo install cargo-nextest --version $(NEXTEST_VERSION) --locked --debug --quiet --root $(TOOLS); }

deny:
	$(call need,cargo,$(RUST))
	$(call need,cc,$(COMPILER))
	@cargo deny --version >/dev/null 2>&1 || { \
	    echo "installing cargo-deny $(DENY_VERSION) in .devstack/tools (once)"; \
	    cargo install cargo-deny --version $(DENY_VERSION) --locked --debug --no-default-features --quiet --root $(TOOLS); }
