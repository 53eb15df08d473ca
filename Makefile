# `make demo` and `make test` set up what they need and go: their own .venv, a regular (not editable) install, the run.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# What the installed package is made of; folders too, so that a file taken away counts as a change.
SOURCES := pyproject.toml CMakeLists.txt README.md LICENSE tests/constraints.txt \
	$(shell find compiler passes targets runtime_cpp -name __pycache__ -prune -o -print)
C_SOURCES = $(shell find benchmarks targets runtime_cpp -name '*.c' -o -name '*.cc' -o -name '*.h')

.DELETE_ON_ERROR:
.PHONY: help demo test lint types format bench clean
help:
	@echo 'make demo    compile a trained model, run it on real images, print accuracy, latency and size'
	@echo 'make test    lint, then all tests'
	@echo 'make lint    ruff, clang-format and, as make types alone, mypy --strict'
	@echo 'make format  let ruff and clang-format write the style'
	@echo 'make bench   subbyte beside its peers'
	@echo 'make clean   remove what these made'

$(BIN)/python:
	bash scripts/bootstrap.sh $(VENV)

# .venv/EXTRA.installed: this tree's package with [EXTRA], at its present state.
$(VENV)/%.installed: $(SOURCES) | $(BIN)/python
	$(PIP) install --quiet --constraint tests/constraints.txt '.[$*]'
	@touch $@

demo: $(VENV)/verify.installed
	$(BIN)/python models/demo.py

lint: $(VENV)/dev.installed types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)

# mypy reads the regular install: it cannot follow the folders that an editable one maps.
types: $(VENV)/dev.installed
	$(BIN)/mypy --strict -p subbyte

# Tests run side by side: libraries with threads of their own would only wait for each other.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: lint
	$(BIN)/pytest -n auto -m 'not timing'
	$(BIN)/pytest -m timing

format: $(VENV)/dev.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

bench: $(VENV)/bench.installed
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist bundles .mypy_cache .pytest_cache .ruff_cache .hypothesis
