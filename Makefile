# What a newcomer needs. `make` alone lists it. Everything is kept in .venv and in
# demo-data; removing these two folders removes every trace.

VENV   ?= .venv
DATA   ?= demo-data
ARGS   ?=
# Processes that test side by side, whole files each; 0 is none but pytest's, for --pdb.
JOBS   ?= 2
IMAGE  ?=
EXTRAS := .[test,lint]
BIN    := $(VENV)/bin

# The first Python that is new enough and can make virtual environments. Each one is
# really run: a name on the PATH may be a version manager's stand-in for nothing.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && { echo $$p; break; }; done)

.PHONY: help venv demo run test test-stores lint

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/service.stamp ## start, upload, download, compare (IMAGE=path, DATA=folder)
	@$(BIN)/python -m imageservice.cmd.demo --data-dir "$(DATA)" $(if $(IMAGE),--image "$(IMAGE)")

run: $(VENV)/service.stamp ## the daemon in the foreground, on 127.0.0.1:9292 (ARGS=..., DATA=folder)
	@exec $(BIN)/imageservice-api --data-dir "$(DATA)" $(ARGS)

test: $(VENV)/tools.stamp ## every test but the slow ones (ARGS="-k quota -x")
	@$(BIN)/python -m pytest -m "not slow and not servers" -n $(JOBS) --dist loadfile $(ARGS)

test-stores: $(VENV)/tools.stamp ## every driver on its real server, installed if this is root
	@$(BIN)/python -m pytest -m "not slow" --junitxml=$(VENV)/stores.xml tests/stores $(ARGS); \
		status=$$?; $(BIN)/python -m tests.stores.table $(VENV)/stores.xml; exit $$status

lint: $(VENV)/tools.stamp ## ruff and mypy, as in CI
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

venv: $(VENV)/tools.stamp ## .venv with the service, the test tools and the linters

# Two steps, because the demo should not wait for the test tools. Both are made again
# when what they were made from has changed.
$(VENV)/service.stamp: setup.cfg pyproject.toml
	@$(if $(PYTHON),:,echo "No Python 3.11 or newer with venv was found: install it (Debian: apt install python3-venv) or name it, make PYTHON=/path/to/python3" >&2; exit 1)
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not a Python 3.11 or newer with venv (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version): half a minute ..."
	@if [ -f $(VENV) ]; then rm $(VENV); fi   # tox leaves a file of this name, which points to its own
	@$(PYTHON) -m venv --clear $(VENV)
	@$(call install,-e .)
	@touch $@

$(VENV)/tools.stamp: $(VENV)/service.stamp
	@echo "Adding the test tools to $(VENV): half a minute ..."
	@$(call install,-e '$(EXTRAS)')
	@touch $@

# pip speaks only when it fails.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1) \
	> $(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log >&2; exit 1; }
