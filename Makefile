# `make test` is the whole check: what it accepts may be merged. CI runs nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Cargo's commands share one build folder and lock it: side by side they would only wait.
.NOTPARALLEL:
.PHONY: help test lint fmt rust-tests client-tests soak bench bench-peers bench-parts bench-log tools clean-tools

PYTHON ?= python3
export PYTHON

help: ## What can be made here
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

test: tools lint rust-tests client-tests ## Everything that has to pass

lint: ## Formatting, clippy and the documentation, warnings denied
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

rust-tests: ## Unit and integration tests of the server
	cargo test --locked

# Two assignments: `export NAME="$(command)"` would hide the command's failure.
client-tests: tools ## Python and Node clients against the built server
	SIGNALCAST_BIN="$$(.venv/bin/python tests/clients/binary.py)"
	export SIGNALCAST_BIN
	.venv/bin/python -m pytest tests/clients
	node --test tests/clients/*.test.mjs

soak: ## Full size: a slow crowd, 3,000 bad connections a second, anything that happens to feed files, 500 crashes
	SIGNALCAST_SOAK=1 cargo test --locked --release --test slow_client half_a_million -- --nocapture
	SIGNALCAST_SOAK=1 cargo test --locked --release --test under_attack three_thousand -- --nocapture
	SIGNALCAST_SOAK=1 cargo test --locked --release --test file_model -- --nocapture
	SIGNALCAST_SOAK=1 cargo test --locked --test crash -- --nocapture

# Give BENCH="--scenarios S1,S2 --rounds 1 --peers socketify" for a part, "--help" for the rest.
bench: bench-peers ## The server beside others and beside the machine's limit: docs/benchmarks.md. Less than an hour
	$(PYTHON) benches/compare $(BENCH)

bench-peers: ## Install what the server is measured beside
	@benches/peers/setup

# Give BENCH_PARTS="--quick" for a quick look, or part of a benchmark's title. Each is built with
# the server's own optimisation, and that takes longer than to run them: for a quick look at a
# change, CARGO_PROFILE_BENCH_LTO=off CARGO_PROFILE_BENCH_CODEGEN_UNITS=16.
PARTS := signal frames journal hub outlet pass
bench-parts: ## What each part costs by itself: CONTRIBUTING.md says which there are. About half an hour
	cargo bench --locked $(PARTS:%=--bench %) -- $(BENCH_PARTS)

# Give BENCH_LOG="--rounds 1" for a quick look, "--json" for raw figures.
bench-log: ## What the log costs: docs/performance.md says how to read it. About half an hour
	for bench in stdin_to_log log_latency catch_up stored; do
	  cargo bench --locked --bench "$$bench" -- $(BENCH_LOG)
	done

tools: ## Install what the tests need: packages, .venv, node_modules, .tools
	@tests/clients/setup

fmt: ## Format the Rust code
	cargo fmt --all

clean-tools: ## Remove what `make tools` installed in this folder
	rm -rf .venv node_modules .tools benches/peers/installed

# One shell per recipe, so that a variable set on one line is there on the next.
.ONESHELL:
