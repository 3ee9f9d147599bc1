# Everything runs in a virtual environment of its own, made from the package index on first use.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/installed
QUICK ?=

.PHONY: rehearse test lint bench prove clean

rehearse: $(STAMP) ## the main job: the whole launch against simulated platforms
	@$(BIN)/launchday rehearse $(ARGS)

# Two at a time: tests of whole launches mostly wait for their instant. More at once would make them late.
test: lint ## lint and tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP) ## arrival after T0, as ratios within one run
	$(BIN)/python -m tests.bench $(ARGS)

prove: $(STAMP) ## every proof, counted; ARGS="--only kills --seed 7 --cycles 200 --database postgresql"
	@QUICK=$(QUICK) $(BIN)/python -m tests.prove $(ARGS)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Launchday needs Python 3.11 or newer: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
