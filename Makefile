# What can be done here? `make help` lists it. Needs Python 3.11 with venv (Debian: python3-venv); no root.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check
PINS := pyproject.toml constraints.txt examples/iris/requirements.txt

.DEFAULT_GOAL := help
.PHONY: help serve test check bench sim crd format clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve  ## Score a real model: the iris example behind the router, on this machine
	@$(BIN)/python examples/iris/train.py
	@exec $(BIN)/scoregate up examples/iris/endpoints.yaml

test: $(VENV)/.test  ## The whole test suite
	$(BIN)/pytest -n 2 --dist loadfile

check: $(VENV)/.test  ## Lint, types, layers, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/house

bench: $(VENV)/.test  ## Beside HAProxy, nginx, Envoy and a stock Python proxy (wants wrk, haproxy, nginx)
	$(BIN)/python -m bench $(BENCH)
	$(if $(BENCH),,$(BIN)/python -m bench dispatch --quick)

sim: $(VENV)/.test  ## Our autoscaler beside six others on virtual time: tables, and pictures in build/sim (minutes)
	@mkdir -p build/sim
	$(BIN)/python -m bench.sim --chart build/sim/frontier.svg --json build/sim/runs.json $(SIM)

crd: $(VENV)/.test  ## Write the custom resource's definition anew, from the model
	$(BIN)/python -m router.platforms.kubernetes.schema > deploy/crds/inferenceendpoints.yaml

format: $(VENV)/.test  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .scoregate .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	rm -rf examples/iris/models build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Scoregate needs Python 3.11 or newer; say which: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python's venv is missing; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/.serve: $(BIN)/python $(PINS)
	@echo "Installing into $(VENV); the first time takes a minute ..."
	@$(INSTALL) --editable . --requirement examples/iris/requirements.txt
	@touch $@

$(VENV)/.test: $(VENV)/.serve
	@echo "Installing what the tests want ..."
	@$(INSTALL) --editable '.[test,bench]'
	@touch $@
