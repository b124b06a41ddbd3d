# Everything sets itself up: a fit Python is found, uv comes from PyPI if it is missing, packages come from the lock.
# `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON := .venv/bin/python
# The graph of the local model is kept here, so that nothing outside this folder is touched.
export ENGRAMIA_CACHE_PATH ?= $(CURDIR)/.cache/engramia
export PYTHONDONTWRITEBYTECODE =

.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: setup
setup: .venv/.synced  ## make the environment in .venv (every other target does it by itself)

.venv/.synced: pyproject.toml uv.lock scripts/uv.sh
	@sh scripts/uv.sh sync --frozen --extra local --extra openai --extra anthropic --extra cli --extra api --extra postgres --extra mcp --extra langchain --extra oidc --extra redis --extra embedded
	@touch $@

.PHONY: demo
demo: .venv/.synced  ## learn real agent runs and recall them for tasks worded differently
	@.venv/bin/engramia demo $(ARGS)

.PHONY: serve
serve: .venv/.synced  ## run the HTTP service on this machine
	@.venv/bin/engramia serve $(ARGS)

.PHONY: lint
lint: .venv/.synced  ## style, types, import directions, dependencies
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@.venv/bin/deptry src

.PHONY: check
check: .venv/.synced  ## the fast inner loop: lint and quick tests side by side, about a minute
	@$(MAKE) --no-print-directory -j 2 lint quick

.PHONY: quick
quick: .venv/.synced  ## the tests that take no more than seconds
	@$(PYTHON) -m pytest -q -n 2 -m "not slow and not soak" $(ARGS)

.PHONY: test
test: lint  ## everything but the fault and soak tests
	@$(PYTHON) -m pytest -q -n 2 -m "not soak" $(ARGS)

.PHONY: test-long
test-long: .venv/.synced  ## fault and soak tests: processes killed, disks full, many writers; the best part of an hour
	@$(PYTHON) -m pytest -q -m soak $(ARGS)

.PHONY: test-adapters
test-adapters: .venv/.synced  ## the agent frameworks' adapters, each in an environment of its own (ARGS=light: the small ones)
	@sh scripts/adapters.sh $(ARGS)

.PHONY: bench
bench: .venv/.synced  ## the figures of the README: quality on the data sets, speed on this machine
	@$(PYTHON) -m benchmarks $(ARGS)
