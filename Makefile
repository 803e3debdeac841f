# What a developer runs. Every target first makes .venv from the pinned requirements, once.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first interpreter of at least Python 3.11 that can make a virtual environment.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)

# Markers of the tests that only `make test-all` runs; tests/markers.py says which files have them.
SLOW := browser or fuzz or kill or ray or slow or train

.PHONY: test test-all lint demo bench docs dist venv clean

test: lint ## Formatting, lint, types, import contracts, then the fast tests: a few minutes
	$(BIN)/pytest -m "not ($(SLOW))"

test-all: $(READY) ## The other tests: kills, Ray, browser, broken files, training; half an hour
	$(BIN)/pytest -m "$(SLOW)" --durations=20

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo: $(READY) ## Synthetic corpus to a trained student, its scores, and a page to look at
	$(BIN)/triaffect demo --output runs/demo

bench: $(READY) ## Speed on this machine, into benchmarks/results; at the end one table of it
	$(BIN)/python benchmarks/bench.py load --json benchmarks/results/load.json
	$(BIN)/python benchmarks/bench.py train --json benchmarks/results/train.json
	$(BIN)/python benchmarks/bench.py predict --json benchmarks/results/predict.json
	$(BIN)/python benchmarks/bench.py extract --json benchmarks/results/extract.json
	for script in benchmarks/bench_*.py; do \
		result=benchmarks/results/$$(basename $$script .py).txt; \
		$(BIN)/python $$script > $$result && cat $$result || exit 1; \
	done
	$(BIN)/python benchmarks/table.py

docs: $(READY) ## The site of docs/, into site/; a warning is an error
	test -x $(VENV)-docs/bin/mkdocs || { $(PYTHON) -m venv $(VENV)-docs && \
		$(VENV)-docs/bin/python -m pip install --quiet --requirement docs/requirements.txt; }
	$(BIN)/python tools/command_reference.py --check
	$(VENV)-docs/bin/mkdocs build --quiet --strict

dist: $(READY) ## Wheels of the package and of the weights to train on, into dist/
	$(BIN)/hatchling build -t wheel -d dist
	cd packages/train-weights && ../../$(BIN)/hatchling build -t wheel -d ../../dist

venv: $(READY)

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed; set PYTHON=" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean: ## Remove the environment and what the tools keep; runs stay
	rm -rf $(VENV) $(VENV)-docs site .mypy_cache .ruff_cache .hypothesis .import_linter_cache
