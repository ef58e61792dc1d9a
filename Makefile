# Every target does the set-up that it needs, in .venv. `make` alone lists them.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PRESET ?= quick
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet
unexport PYTHONDONTWRITEBYTECODE # where it is set, each of a thousand processes would compile what it imports

.DEFAULT_GOAL := help
.PHONY: help install train test soak oldest release lint format docs bench clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

install: $(VENV)/.train ## Set up .venv with UPS and its simulator

train: $(VENV)/.train ## Train the three-stage simulator (PRESET=smoke|quick|full) and show every chart full
	$(BIN)/ups train --preset $(PRESET)

test: $(VENV)/.dev ## Run all tests (ONLY=tests/check for those of one part)
	$(BIN)/python -m pytest -n 6 --dist worksteal $(ONLY)

soak: $(VENV)/.dev ## Run the long tests that CI leaves out
	$(BIN)/python -m pytest -m soak

oldest: $(VENV)/.dev ## Run all tests with the oldest dependencies that UPS admits (several GB; Python 3.11)
	$(BIN)/python tests/oldest.py -n 6 --dist worksteal

release: $(VENV)/.dev ## Build the archives in dist, and try the wheel with each extra
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m pytest -m 'release or not release' tests/release

lint: $(VENV)/.dev $(VENV)/.prose ## Check style, types and prose
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python prose/lint.py

format: $(VENV)/.dev ## Put the style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev ## Build the documentation as a site, in build/docs
	$(BIN)/sphinx-build -a -W --keep-going --nitpicky -q docs build/docs
	@echo "Open build/docs/index.html"

bench: $(VENV)/.dev ## Print the tables of all benchmarks
	@failed=0; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || failed=1; done; exit $$failed

clean: ## Remove what the targets made, but no run
	rm -rf $(VENV) prose/node_modules .peers .environments build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "UPS needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.train: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --constraint constraints.txt --editable '.[simulator]'
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	$(INSTALL) --constraint constraints.txt --group dev
	@touch $@

$(VENV)/.prose: $(VENV)/.made prose/package-lock.json
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a < 20 || (a == 20 && b < 18) ? 1 : 0)' 2>/dev/null \
		&& npm --version >/dev/null 2>&1 || { echo "make lint needs Node.js 20.18 or newer with npm, for the linter of prose"; exit 1; }
	npm ci --prefix prose --no-audit --no-fund --silent
	@touch $@
