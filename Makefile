# `make run` and `make test` do everything. Both install into .venv first if needed.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: run test test-long clean

run: .venv/installed
	$(BIN)/python pipeline.py run

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# The same at length: kills, fuzzing, and a soak test of all commands. It takes hours.
test-long: .venv/installed
	$(BIN)/pip install --requirement requirements-scale.txt --requirement requirements-export.txt
	FUZZ=5 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --kills 50
	$(BIN)/python -m benchmarks.soak --memes 20000 --against 2000

# Where bytecode is not written, each process of the tests compiles every module again.
test test-long: export PYTHONDONTWRITEBYTECODE =

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --requirement requirements.txt
	touch $@

clean:
	rm -rf .venv runs solution.csv
