# Everything runs in .venv, made from a plain python3; the second time nothing is installed.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
# Files of tests over all cores; a file stays in one process, with what it prepared.
PARALLEL := -n logical --maxprocesses 8 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: demo test check verify agreement bench format help

demo: $(READY)  ## measure this machine, plan for it, and write the report
	@$(RUN) -m dsd_plan demo

test: $(READY)  ## the whole test suite (what needs torch or chromium is skipped without them)
	@$(RUN) -m pytest -q $(PARALLEL)

check: $(READY)  ## lint, format, types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

verify: $(READY)  ## the slow agreement tests: theory, and model against replay
	@$(RUN) -m pytest -q -m verify

agreement: $(READY)  ## model against replay on hundreds of random systems; goes on where it was stopped
	@$(RUN) -m tests.benchmarks.agreement_study

bench: $(READY)  ## speed, as ratios against something run beside it; gates nothing
	@$(RUN) -m tests.benchmarks

format: $(READY)  ## rewrite the sources in the project's format
	@$(RUN) -m ruff check --fix-only -q .
	@$(RUN) -m ruff format .

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "dsd-plan needs Python 3.11 or newer: no '$(PYTHON)' found (say PYTHON=/path/to/python3)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dsd-plan needs Python 3.11 or newer: '$(PYTHON)' is $$($(PYTHON) -V) (say PYTHON=/path/to/python3.11)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "installing into $(VENV) (once)" >&2
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
