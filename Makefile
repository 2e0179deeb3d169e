# Every target sets up what it needs: python3.11 and make are enough.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 GOMP_SPINCOUNT=10000 $(BIN)/python -m pytest
# a module's tests stay together: they share its server
SPREAD := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope
BESIDE := $(patsubst %/pyproject.toml,-e ./%,$(wildcard plugins/models_*/pyproject.toml plugins/quant_*/pyproject.toml))
INTERPRET := TRITON_INTERPRET=1 $(SPREAD) tests/interpreter plugins/attention_triton plugins/ops_triton

.PHONY: help install fixtures browser clients harnesses oracles serve test test-all conformance interpret aot-all gpu-test test-oracles soak lint type docs bench parity
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## inferd and its development tools in .venv

# torch first: a bare requirement would take a GPU build of several GB
$(VENV)/.installed: pyproject.toml plugins/cpu_numba/pyproject.toml plugins/grammar_xgrammar/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt --group dev
	$(BIN)/python -m pip install -q -c constraints.txt --no-build-isolation -e . $(BESIDE) -e ./plugins/cpu_numba -e ./plugins/grammar_xgrammar -e ./plugins/routes_sagemaker
	touch $@

fixtures: install ## the model that tests and examples use (98 MB, once)
	$(BIN)/inferd models pull smollm2

# each in an environment of its own, in the versions that their files name
clients: .clients/node/.installed .clients/agents/.installed ## SDKs that tests use: openai for Node, LangChain, LiteLLM

harnesses: .clients/lm_eval/.installed .clients/aiperf/.installed .clients/guidellm/.installed ## lm-eval, aiperf and guidellm, for slow tests

.clients/node/.installed: $(wildcard tests/e2e/clients/node/*.json)
	mkdir -p .clients/node
	cp tests/e2e/clients/node/*.json .clients/node
	npm ci --silent --prefix .clients/node
	touch $@

.clients/%/.installed: tests/e2e/clients/requirements/%.txt
	test -x .clients/$*/bin/python || $(PYTHON) -m venv .clients/$*
	.clients/$*/bin/python -m pip install -q --disable-pip-version-check -r $<
	touch $@

ORACLES := $(or $(INFERD_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/inferd)/oracles
oracles: $(ORACLES)/gptqmodel/.installed $(ORACLES)/llmcompressor/.installed ## what `inferd quantize` calls (3 GB)

$(ORACLES)/%/.installed: core/inferd/cli/quantizers/%.txt
	test -x $(ORACLES)/$*/bin/python || $(PYTHON) -m venv $(ORACLES)/$*
	$(ORACLES)/$*/bin/python -m pip install -q --disable-pip-version-check -r $<
	touch $@

browser: install ## a headless Chromium for tests of the pages, where none is installed
	command -v chromium || command -v google-chrome || $(BIN)/playwright install --only-shell chromium

serve: fixtures ## SmolLM2 on http://127.0.0.1:8000
	$(BIN)/inferd serve smollm2

test: fixtures browser clients ## every test that fits in some minutes
	$(SPREAD) -m "not slow and not soak and not aot and not gpu and not oracles" $(TESTARGS)
	$(INTERPRET) $(TESTARGS)

test-all: fixtures browser clients harnesses ## the slow ones too
	$(SPREAD) -m "not soak and not aot and not gpu and not oracles" $(TESTARGS)
	$(INTERPRET) $(TESTARGS)

interpret: install ## the kernels in Triton's interpreter, on the CPU
	$(INTERPRET) $(TESTARGS)

aot-all: install ## every kernel compiled for NVIDIA and AMD, without either
	$(PYTEST) tests/aot $(TESTARGS)

gpu-test: install ## the kernels and the engine on this machine's GPU
	$(PYTEST) -m gpu tests/gpu $(TESTARGS)

test-oracles: fixtures oracles ## against checkpoints that gptqmodel and llmcompressor make of SmolLM2, kept in the cache
	$(PYTEST) -m oracles tests/oracles --timeout 3600 $(TESTARGS)

soak: fixtures ## the property tests at length
	$(PYTEST) -m soak --timeout 7200 $(TESTARGS)

conformance: fixtures ## thousands of drawn requests against a live server
	$(SPREAD) --dist load -m soak tests/e2e/test_openapi.py --timeout 3600 $(TESTARGS)

lint: install ## ruff, mypy, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONPATH=plugins/hw_rocm $(BIN)/lint-imports --config plugins/hw_rocm/pyproject.toml
	PYTHONPATH=plugins/cpu_numba $(BIN)/lint-imports --config plugins/cpu_numba/pyproject.toml
	PYTHONPATH=plugins/routes_sagemaker $(BIN)/lint-imports --config plugins/routes_sagemaker/pyproject.toml

type: install ## mypy alone
	$(BIN)/mypy

docs: fixtures ## the pages: commands run, links lead somewhere
	$(BIN)/python -m pytest tests/docs

bench: fixtures ## tokens per second of SmolLM2, offline
	$(BIN)/inferd bench throughput --model smollm2

parity: fixtures ## greedy tokens against transformers', every way to run
	$(BIN)/python bench/parity.py
