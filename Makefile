# Every target sets up what it needs: python3.11 and make are enough.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 $(BIN)/python -m pytest

.PHONY: install fixtures serve test test-all soak lint type docs bench parity
install: $(VENV)/.installed

# torch first: a bare requirement would take a GPU build of several GB
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt --group dev
	$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e .
	touch $@

fixtures: install
	$(BIN)/inferd models pull smollm2

serve: fixtures
	$(BIN)/inferd serve smollm2

test: fixtures
	$(PYTEST) -m "not slow and not soak and not gpu" $(TESTARGS)

test-all: fixtures
	$(PYTEST) -m "not soak and not gpu" $(TESTARGS)

soak: fixtures
	$(PYTEST) -m soak --timeout 7200 $(TESTARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

type: install
	$(BIN)/mypy

docs: fixtures
	$(BIN)/python -m pytest tests/docs

bench: fixtures
	$(BIN)/inferd bench throughput --model smollm2

parity: fixtures
	$(BIN)/python bench/parity.py
