# Everything runs from .venv; python3 (3.11 or newer) with venv, make and git are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
KERNELS := $(wildcard native/*)
# The folder with Qwen2.5-Coder-Instruct 0.5B and 1.5B, Q4_K_M, for test-qwen.
MODELS ?= $(HOME)/.cache/qwen
AGAINST ?= .git\#branch=main

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test test-qwen kernels lint format proto proto-breaking chart lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.setup ## Install the services, the library and the command line into .venv
setup-dev: $(VENV)/.setup-dev ## Install all extras too

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'setup: $(PYTHON) is not Python 3.11 or newer; name one: make PYTHON=...'; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.setup: pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	@echo "setup: installing tiercel into $(VENV)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.setup-dev: pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	@echo "setup: installing tiercel with all extras into $(VENV)"
	@$(PIP) install -c constraints.txt -e '.[torch,train,specialise,dev]'
	@touch $@ $(VENV)/.setup

demo: setup ## Start a three-level chain of real services, answer prompts, stop
	@$(BIN)/python -m tiercel.cli demo

test: setup-dev ## Run every test, in two processes
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-qwen: setup-dev ## Run the tests of real Qwen models, on the .gguf files in MODELS=dir
	@$(BIN)/python -m pytest tests/qwen --models='$(MODELS)'

kernels: setup-dev ## Compile native/ anew
	@$(BIN)/python native/build_hook.py

lint: setup-dev chart ## Check style, types, protos, stubs and the chart
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/mypy --package scripts
	@$(BIN)/buf lint
	@$(BIN)/python -m scripts.generate_stubs --check

format: setup-dev ## Rewrite the code to the project's style
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

proto: setup-dev ## Regenerate tiercel/v1 from protos/
	@$(BIN)/python -m scripts.generate_stubs

proto-breaking: setup-dev ## Compare protos/ with those at AGAINST (a branch or tag of this repository)
	@$(BIN)/buf breaking --against '$(AGAINST)'

chart: setup-dev ## Lint, render and validate the Helm chart
	@$(BIN)/python -m scripts.check_chart

lock: setup-dev ## Resolve all dependencies anew into constraints.txt
	@$(BIN)/python -m scripts.lock

clean: ## Remove the environment, tools and caches
	@rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
