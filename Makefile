# make run    from nothing to the quickstart's table and plots, under results/quickstart
# make test   style, types and the quick tests
# make slow   the long tests

PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS := 1

.PHONY: run test slow install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

run: install
	$(BIN)/bench run quickstart
	$(BIN)/bench plot results/quickstart

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n 2 -m 'not slow'

slow: install
	$(BIN)/pytest -n 2 -m slow

clean:
	rm -rf .venv build *.egg-info
