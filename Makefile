# make demo      a first look: installs into .venv, trains a small network on this machine's OpenCL device
# make test      every OpenCL implementation found on this machine
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# make test LANES="--require PoCL"; anything after -- goes to pytest
LANES ?=

.PHONY: demo test test-quick oclgrind lint bench clean

demo: $(VENV)/.demo
	@$(BIN)/python examples/digits.py

test: $(VENV)/.test
	@$(BIN)/python -m tests.lanes $(LANES)

test-quick: $(VENV)/.test
	@$(BIN)/python -m tests.lanes --quick $(LANES)

oclgrind: $(VENV)/.test
	@$(BIN)/python -m tests.lanes --oclgrind $(LANES)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp per set of extras: an install that is up to date costs nothing.
$(VENV)/.demo: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[cpu,tensorboard,examples]"
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[cpu,test]"
	@touch $@

$(VENV)/.lint: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[lint]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
