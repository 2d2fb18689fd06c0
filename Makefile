# Two commands for a newcomer: `make up` starts everything on this machine, `make test` proves it.
# Both install what they need themselves (tools/bootstrap.py); ARGS is passed on, e.g. make up ARGS="--port 9000".

PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
# Continuous integration refuses a stale Cargo.lock; a developer's build updates it.
LOCKED := $(if $(CI),--locked)
# Properties draw new cases on a developer's machine. Continuous integration repeats one draw (Hypothesis does so by
# itself when CI is set): what turns it red is the change, and a rare case is found where somebody can look at it.
ifdef CI
export PROPTEST_RNG_SEED ?= 20261121
endif
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help up test test-rust test-python mutations million bench lint fmt runtime dev test-tools bench-tools python

help:
	@echo "make up      start Tradewind in paper mode on http://localhost:8000"
	@echo "make test    all Rust and Python tests"
	@echo "make mutations  breaks every listed rule in a copy of the engine; each must turn a test red"
	@echo "make million  generated commands, a million and more, against every invariant and the reference model"
	@echo "make bench   the numbers of the README"
	@echo "make lint    formatting, lints and types"
	@echo "make fmt     format everything"

up: runtime
	@exec $(BIN)/tradewind up $(ARGS)

test: test-rust test-python

# The bindings crate is a Python module: it is tested from Python.
test-rust: dev
	cargo test --quiet $(LOCKED) -p tradewind-journal -p tradewind-feeds -p tradewind-paper -p tradewind-engine

# Disk faults need a module with hooks that the shipped one must not have, so they are a run of their own. Much of the
# rest waits for sockets and processes more than it computes: five at a time, also on two cores.
test-python: test-tools
	PYTHONPATH=tests/faults $(BIN)/python -m pytest -m faults tests/node
	$(BIN)/python -m pytest $(or $(ARGS),-n 5 --dist worksteal)

# Minutes to an hour: generated commands, at least a million in each half, with every invariant audited behind each
# batch. The first half also compares every reply, fill, event of liquidation and balance with the reference model.
million: dev
	TRADEWIND_MODEL_COMMANDS=$${TRADEWIND_MODEL_COMMANDS:-350000} $(BIN)/python -m pytest -q tests/model -k "million"
	cargo test --release --quiet $(LOCKED) -p tradewind-engine --test engine -- --ignored a_million_commands --nocapture

# Some minutes: one build holds all mutations, then each runs the tests that must turn red.
mutations: dev
	@$(PYTHON) tools/mutations/run.py $(ARGS)

bench: bench-tools
	@exec $(BIN)/tradewind bench $(ARGS)

lint: dev
	cargo fmt --all --check
	cargo clippy --quiet $(LOCKED) --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: dev
	cargo fmt --all
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

runtime: python
	@$(PYTHON) tools/bootstrap.py runtime

dev: python
	@$(PYTHON) tools/bootstrap.py dev

# Two environments more than `dev`, about a minute on a fresh machine: only the tests wait for them.
test-tools: python
	@$(PYTHON) tools/bootstrap.py test

bench-tools: python
	@$(PYTHON) tools/bootstrap.py bench

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: sudo apt-get install python3 python3-venv"; exit 1; }
