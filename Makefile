# bayesgmm: `make help` lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Where Python is told to write no bytecode, every process compiles again all that it imports: several times as long.
unexport PYTHONDONTWRITEBYTECODE

# A process for each core, of files side by side; a second thread in any of them would wait for the others.
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo quick test processors lint format bench notebooks docs calibrate pins clean

help:
	@echo "make demo       fit, compare, sample and report Old Faithful into demo-output/"
	@echo "make quick      the tests that compile nothing and draw no examples: in little more than a minute"
	@echo "make test       lint, then every test and docstring example, warnings as errors"
	@echo "make processors the tests as four other processors would run them, other Hypothesis seeds, empty caches: hours"
	@echo "make lint       ruff (rules and format), mypy on bayesgmm/"
	@echo "make format     let ruff rewrite what it can"
	@echo "make bench      run every script of tests/benchmarks: $(or $(notdir $(BENCHMARKS)),none yet)"
	@echo "make calibrate  run the calibration studies of tests/calibration: $(or $(notdir $(STUDIES)),none yet)"
	@echo "make notebooks  execute every notebook from a clean kernel: $(or $(notdir $(NOTEBOOKS)),none yet)"
	@echo "make docs       build the documentation into docs/_build/html"
	@echo "make setup      make .venv only (every target above does so when it must)"
	@echo "make pins       write constraints.txt anew from the newest allowed versions"
	@echo "make clean      remove .venv, caches and what the targets above wrote"
	@echo "Needs Python 3.12 or newer: PYTHON=/path/to/python3.12 make ... chooses one (now: $(PYTHON))."

BENCHMARKS := $(filter-out tests/benchmarks/_%,$(wildcard tests/benchmarks/*.py))
STUDIES := $(wildcard tests/calibration/test_*.py)
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

# $(call install,REQUIREMENTS): uv where it works, otherwise pip, which also knows the user's own pip configuration.
# Bytecode is made at once, by every core, rather than by the first process that imports a file (pip does so unasked).
define install
	@if [ -x $(BIN)/uv ] && \
	    $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt -e '$(1)'; then :; else \
	    echo "Installing with pip (uv is not available or could not)..."; \
	    $(BIN)/python -m pip install -q -c constraints.txt -e '$(1)'; fi
	@$(BIN)/python -m compileall -q bayesgmm
endef

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 12))

setup: $(READY)

# An environment that works is brought up to date, not made anew.
$(READY): pyproject.toml constraints.txt
	@$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	    $(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	        echo "bayesgmm needs Python 3.12 or newer; \`$(PYTHON)\` is: $$($(PYTHON) --version 2>&1)"; \
	        echo "Install one, then say which: PYTHON=/path/to/python3.12 make $(MAKECMDGOALS)"; exit 1; }; \
	    echo "Setting up $(VENV) with $$($(PYTHON) --version)..."; $(PYTHON) -m venv --clear $(VENV); }
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install -q --disable-pip-version-check uv 2>/dev/null || true
	$(call install,.[test])
	@touch $@

$(VENV)/.docs-ready: $(READY)
	$(call install,.[test$(,)docs])
	@touch $@

, := ,

demo: $(READY)
	$(BIN)/bayesgmm demo -o demo-output

notebooks: $(READY)
	@for notebook in $(NOTEBOOKS); do echo "$$notebook"; $(BIN)/jupyter-execute "$$notebook" || exit 1; done

docs: $(VENV)/.docs-ready
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

quick: $(READY)
	$(PYTEST) --quick

test: lint
	$(PYTEST)

# Before a release: no test may pass by the last bit of one machine. What failed is listed at the end.
processors: $(READY)
	$(BIN)/python -m tests.support.processors

bench: $(READY)
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

calibrate: $(READY)
	@if [ -z "$(STUDIES)" ]; then echo "No calibration study exists yet in tests/calibration."; \
	else $(BIN)/pytest $(STUDIES); fi

pins: $(READY)
	@{ head -n 2 constraints.txt; \
	    $(BIN)/uv pip compile -q --upgrade --all-extras --no-annotate --no-header pyproject.toml; } > $(VENV)/pins.txt
	@mv $(VENV)/pins.txt constraints.txt

clean:
	rm -rf $(VENV) demo-output docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
