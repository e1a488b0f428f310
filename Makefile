# Two commands do everything: `make run` and `make test`. Both install into .venv when needed.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: run test clean

run: .venv/installed
	$(BIN)/python pipeline.py run

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --requirement requirements.txt
	touch $@

clean:
	rm -rf .venv runs solution.csv
