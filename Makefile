# Everything a person does with this repository. `make help` lists it; the first target you use
# makes .venv from the hash-pinned lock. Needed: Python >= 3.11 with venv, make.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= auto
ARGS ?=
SIMULATED ?= 1500
SEEDS ?= 5000

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)

.PHONY: help setup check fmt test test-fast simulate pace chaos demo bench schema lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv from the hash-pinned lock

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

check: $(READY) ## lint, formatting, types, import contracts (seconds)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY) ## format, and fix what can be fixed by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(READY) ## every test but the pace and chaos runs (ARGS="-k words" to choose)
	SYNCD_SIMULATED_SEEDS=$(SIMULATED) $(BIN)/pytest -m "not chaos and not pace" -n $(WORKERS) --maxprocesses 4 --dist loadfile $(ARGS)
ifeq ($(ARGS),)
	SYNCD_TEST_PG=all $(BIN)/pytest -q -n $(WORKERS) --maxprocesses 4 tests/flow/test_sale.py \
		$(addprefix tests/tables/test_,migrate.py schema_snapshot.py statements.py)
endif

test-fast: $(READY) ## the rules alone: no database, seconds
	$(BIN)/pytest -m "not chaos" tests/rules $(ARGS)

simulate: $(READY) ## the whole daemon in virtual time (SEEDS=50000 for a night)
	$(BIN)/python -m tests.rules.simulator $(SEEDS) $(ARGS)

pace: $(READY) ## what one sick store costs the others: times, so on a quiet machine
	$(BIN)/pytest -q -m pace $(ARGS)

chaos: $(READY) ## the long crash tests
	$(BIN)/pytest -m chaos -o faulthandler_timeout=7200 $(ARGS)

demo: $(READY) ## a whole world on this machine: stores, shoppers, syncd
	$(BIN)/syncd demo $(ARGS)

bench: $(READY) ## measure the promises
	$(BIN)/python -m bench $(ARGS)

schema: $(READY) ## renew syncd/db/schema.sql from the migrations
	$(BIN)/python -m tests.schema

LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --quiet --upgrade pyproject.toml

lock: $(READY) ## renew requirements/ from pyproject.toml
	$(LOCK) -o requirements/runtime.txt
	$(LOCK) --extra embedded --group dev -o requirements/dev.txt

clean: ## remove what these targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
