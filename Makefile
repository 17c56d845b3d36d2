# Two commands do everything: `make demo` and `make test`. Each makes .venv first if it is not there.

PYTHON ?= python3
BIN := .venv/bin
# One more than there are cores: many tests wait for processes.
WORKERS := $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
PROTOS := $(wildcard protos/amends/v1/*.proto)

# Which bus carries the events of the choreographed demo: sqlite, or nats for a real nats-server.
BUS ?= sqlite

.PHONY: demo demo-choreography up test check format protos interop bench model clean

demo: .venv          ## runs orders through real processes, kills some, compares the ledgers
	$(BIN)/python -m sample_services.demo

demo-choreography: .venv   ## the same without a coordinator, on the bus that BUS names
	$(BIN)/python -m sample_services.demo.choreographed --bus $(BUS)

up: .venv            ## starts daemon and participants, and stays until Ctrl-C
	$(BIN)/python -m sample_services.demo --stay

test: .venv          ## runs the tests on every core, and says which branches they do not reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include="*/amends_coordinator/core/*,*/amends/_fence/*" --fail-under=100
	@echo "Of everything, in per cent:"
	@$(BIN)/coverage report --format=total --fail-under=90

check: .venv         ## format, lint, types, import contracts, generated code, contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m protos.generate --check
	$(BIN)/python -m protos.lint

format: .venv        ## formats, and mends what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: .venv        ## generates sdk/amends/v1 from protos/; docs/protos.md has other languages
	$(BIN)/python -m protos.generate

interop: .venv       ## builds and checks the payments in Go, Java and Node, where their toolchains are
	$(BIN)/python -m sample_services.interop

bench: .venv         ## measures; the last line is one JSON object
	$(BIN)/python -m benchmarks

model: .venv         ## checks a model of the protocol exhaustively; needs spin and gcc
	$(BIN)/python docs/model/check.py

.venv: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[coordinator,dev]"
	@touch .venv

clean:               ## removes what the other targets made
	rm -rf .venv node_modules build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
