# Everything a person does here. `make help` lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# What a change of means that the environment has to be installed anew.
PINS   := pyproject.toml

# What each target needs is installed by the target itself.
.PHONY: help setup run simulate test check lint types layers proto proto-check docs docs-check pytest model soak sabotage bench alternatives growth format clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bankbook needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(PINS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(PINS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(PINS) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev  ## install everything into .venv, the developers' tools too

run: $(VENV)/.run  ## a bank of ten branches executes examples/input_big.json
	$(BIN)/bankbook run examples/input_big.json

SEEDS ?= 10000

simulate: $(VENV)/.run  ## 10,000 random banks under random faults; as many others with SEEDS=100
	$(BIN)/bankbook simulate --seeds $(SEEDS)

test: check pytest  ## every check and every test

check: lint types layers proto-check docs-check  ## the checks that run nothing

lint: $(VENV)/.dev  ## the linter and the formatter's opinion
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## the type checker
	$(BIN)/mypy

layers: $(VENV)/.dev  ## whether imports point only downward
	$(BIN)/lint-imports

proto: $(VENV)/.dev  ## generate the code for src/bankbook/wire/*.proto
	$(BIN)/python tools/generate_proto.py

proto-check: $(VENV)/.dev
	$(BIN)/python tools/generate_proto.py --check

docs: $(VENV)/.dev  ## generate docs/reference.md
	$(BIN)/python tools/generate_docs.py

docs-check: $(VENV)/.dev
	$(BIN)/python tools/generate_docs.py --check

pytest: $(VENV)/.dev  ## the tests alone; about three minutes on two cores
	$(BIN)/pytest --numprocesses 2 --dist worksteal

model: $(VENV)/.dev  ## search the models of the protocol with spin: about five minutes; needs spin and gcc
	$(BIN)/python tools/check_models.py

# BANKBOOK_FAULT_ROUNDS, BANKBOOK_FAULT_SECONDS and BANKBOOK_SEED may say otherwise: docs/faults.md.
soak: $(VENV)/.dev  ## 1,000 kills of branches, then 12 rounds of every real fault; about 25 minutes on two cores
	BANKBOOK_KILLS=1000 $(BIN)/pytest -s tests/server/test_crashes.py
	BANKBOOK_FAULT_ROUNDS=$${BANKBOOK_FAULT_ROUNDS:-12} BANKBOOK_FAULT_SECONDS=$${BANKBOOK_FAULT_SECONDS:-60} \
		$(BIN)/pytest -s -p no:randomly tests/faults/test_real_faults.py

sabotage: $(VENV)/.dev  ## small bugs in the running code: what catches each, and after how many seeds
	$(BIN)/python tools/sabotage.py

# As BENCH: --quick, --only NAME, --help for the rest.
bench: $(VENV)/.bench  ## Bankbook beside PostgreSQL, etcd and Redis: docs/performance.md; about fifteen minutes
	$(BIN)/python -m benchmarks $(BENCH)

alternatives: $(VENV)/.dev  ## PostgreSQL, etcd and Redis for the tests of `make bench`, from Debian's packages
	$(BIN)/python -m benchmarks.packages

# As GROWTH: --quick, --only NAME, --entries 10000000, --help for the rest.
growth: $(VENV)/.bench  ## how costs grow, and why: docs/growth.md; about fifteen minutes
	$(BIN)/python -m benchmarks.growth $(GROWTH)

format: $(VENV)/.dev  ## let the formatter and the linter mend what they can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove everything that make made
	rm -rf $(VENV) build output .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/bankbook.egg-info
