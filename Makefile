# Everything that one does with this project. `make` alone lists the targets.
#
# Needs make and Python 3.11 or newer with venv. Everything is installed below this folder, at
# the versions and hashes of requirements/*.txt; a second run finds it there and starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two set-ups at once would write into the same folder.
.NOTPARALLEL:
.PHONY: help run check test bench soak lock clean static

PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip
PIP_FLAGS := --disable-pip-version-check --no-input -qq
# The lock files are complete, so nothing is resolved; wheels only, so nothing is built; and
# Python compiles what it imports by itself.
INSTALL := install $(PIP_FLAGS) --require-hashes --no-deps --only-binary=:all: --no-compile
PYTEST := $(BIN)/python -m pytest -q -n 2 --ignore=tests/clients
# llmock is a server to us, started as one; it also brings a plugin for pytest.
CLIENTS := -m pytest -q -W default --confcutdir=tests/clients -p no:llmock
JS := tests/clients/js
# They hold the openai package at an older major version, so they live in .venv-litellm.
OLDER := tests/clients/test_litellm.py tests/clients/test_llama_index.py

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

run: .venv/.ready ## set up once, then serve on this machine with made-up secrets (ARGS="--port 9000")
	@exec $(BIN)/apertura serve --dev $(ARGS)

check: static ## format, lint, types, architecture and the fast tests
	@echo "Fast tests"
	@$(PYTEST) -m "not slow" --ignore=tests/simulation

test: static .venv-clients/.ready .venv-litellm/.ready $(JS)/node_modules/.ready ## check, every slow test, and foreign clients against a live server
	@echo "All tests"
	@$(PYTEST)
	@echo "Foreign clients, live server"
	@APERTURA_BIN="$(CURDIR)/$(BIN)/apertura" .venv-clients/bin/python $(CLIENTS) tests/clients $(OLDER:%=--ignore=%)
	@APERTURA_BIN="$(CURDIR)/$(BIN)/apertura" .venv-litellm/bin/python $(CLIENTS) $(OLDER)

bench: .venv/.ready ## measure against a plain reverse proxy in the same run
	@$(BIN)/python benchmarks/run.py $(ARGS)

soak: .venv/.soak ## the tests with many more examples, then a fuzzer: an hour (ARGS="--seconds 300 ask" fuzzes only)
	@if [ -z "$(ARGS)" ]; then HYPOTHESIS_PROFILE=soak $(PYTEST); fi
	@if [ -z "$(ARGS)" ]; then $(BIN)/python tools/torture.py; fi
	@if [ -z "$(ARGS)" ]; then $(BIN)/python tools/mutants.py; fi
	@echo "Fuzzing every reader of bytes"
	@$(BIN)/python tools/fuzz.py $(ARGS)

static: .venv/.test
	@echo "Format, lint, types, architecture"
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

# --- Set-up: a stamp is older than the file it was made from, or it is good -------------------

.venv/.made: requirements/pip.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Apertura needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make virtual environments. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv with the gateway and a small local model (130 MB), about 15 s the first time"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(PIP) $(INSTALL) -r requirements/pip.txt
	@touch $@

.venv/.run: requirements/run.txt requirements/build.txt requirements/local.txt .venv/.made
	@$(PIP) $(INSTALL) -r requirements/run.txt -r requirements/build.txt -r requirements/local.txt
	@touch $@

.venv/.ready: pyproject.toml .venv/.run
	@$(PIP) install $(PIP_FLAGS) --no-deps --no-index --no-build-isolation --editable .
	@touch $@

.venv/.test: requirements/test.txt requirements/schema.txt .venv/.ready
	@echo "Setting up the test tools, about 10 s the first time"
	@$(PIP) $(INSTALL) -r requirements/test.txt -r requirements/schema.txt
	@touch $@

.venv/.soak: requirements/soak.txt .venv/.test
	@$(PIP) $(INSTALL) -r requirements/soak.txt
	@touch $@

.venv-clients/.ready .venv-litellm/.ready: .venv-%/.ready: requirements/%.txt | .venv/.made
	@echo "Setting up .venv-$* with foreign clients only, about 25 s the first time"
	@rm -rf .venv-$*
	@$(PYTHON) -m venv --without-pip .venv-$*
	@$(PIP) --python .venv-$*/bin/python $(INSTALL) -r requirements/$*.txt
	@touch $@

# Where there is no Node, the tests with its clients and with aimock are skipped, and say so.
$(JS)/node_modules/.ready: $(JS)/package.json $(JS)/package-lock.json
	@if command -v npm > /dev/null; then \
	  echo "Setting up JavaScript clients and a simulator of providers, about 10 s the first time"; \
	  cd $(JS) && npm ci --silent --ignore-scripts --no-audit --no-fund && touch node_modules/.ready; \
	else echo "No npm here: JavaScript clients will not be tried, nor any client against aimock"; fi

# A week's rest before a new release is taken: a bad one is usually found out by then.
LOCK := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --exclude-newer "1 week"

lock: ## resolve requirements/*.in anew (UPGRADE=--upgrade takes newer releases)
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python -m pip install $(PIP_FLAGS) uv; }
	@for name in pip run build test soak clients litellm; do \
	  echo "Locking requirements/$$name.txt"; \
	  $(LOCK) $(UPGRADE) requirements/$$name.in -o requirements/$$name.txt; done
	@for name in local schema; do \
	  echo "Locking requirements/$$name.txt"; \
	  $(LOCK) $(UPGRADE) --no-deps requirements/$$name.in -o requirements/$$name.txt; done
	@echo "Locking $(JS)/package-lock.json"
	@cd $(JS) && npm install --silent --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

clean: ## remove virtual environments and caches, nothing else
	@rm -rf .venv .venv-clients .venv-litellm .venv-lock $(JS)/node_modules
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
