# FedMVP on Flower. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venvs/lowest
OUT ?= runs/demo
CLIENTS ?= 10
FLOWER_ENV := FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 RAY_USAGE_STATS_ENABLED=0
TEST_ENV := $(FLOWER_ENV) HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
PYTEST := python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-lowest lint types unit deploy-test guide faults endurance clean

help:  ## Show this list
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make a virtual environment with all that is needed

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup  ## Run FedMVP on the embedded data and models, and say what it was worth; results in runs/demo
	$(FLOWER_ENV) $(BIN)/fedmvp simulate --num-clients $(CLIENTS) --out $(OUT)
	rm -rf $(OUT)/compare
	$(FLOWER_ENV) $(BIN)/fedmvp compare --num-clients $(CLIENTS) --seeds 0 --methods "mask fedmvp nothing-missing" --out $(OUT)/compare

test: setup lint types unit  ## Check style and types, run all tests

test-fast: setup  ## Run the quick tests alone, for the inner loop
	$(TEST_ENV) $(BIN)/$(PYTEST) -m "not slow" $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python docs/rooms.py --check

types: setup
	$(BIN)/mypy

unit: setup
	$(TEST_ENV) $(BIN)/$(PYTEST) $(PYTEST_ARGS)

test-lowest:  ## Run all tests with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e '.[dev]'
	$(TEST_ENV) $(LOWEST)/bin/$(PYTEST) $(PYTEST_ARGS)

deploy-test: setup guide  ## Deploy nodes with TLS here, by the guide; kill a node and the SuperLink, resume
	$(BIN)/python -m reliability.smoke $(SMOKE_ARGS)

guide: setup  ## Run the commands of docs/deploy.md here, as they stand
	$(BIN)/python -m reliability.guide

faults: setup  ## Produce the fault table of docs/reliability.md
	$(BIN)/python -m reliability.faults --write

endurance: setup  ## Many rounds on three nodes: memory, files and disk of every process
	$(BIN)/python -m reliability.endurance --write

clean:  ## Remove the environment and everything that was built (not runs/)
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
