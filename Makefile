# Every target does the set-up that it needs, in .venv. `make` alone lists them.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PRESET ?= quick
CONSTRAINTS ?= constraints.txt
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet
IN_PROCESS := tests/check tests/repair tests/report tests/runfile tests/runs tests/test_course.py tests/test_text.py
unexport PYTHONDONTWRITEBYTECODE # where it is set, each of a thousand processes would compile what it imports

.DEFAULT_GOAL := help
.PHONY: help install train test coverage soak oldest wandb-versions wheel release lint format docs bench lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

install: $(VENV)/.train ## Set up .venv with UPS, its dashboard, its simulator and wandb

train: $(VENV)/.train ## Train the three-stage simulator (PRESET=smoke|quick|full) and show every chart full
	$(BIN)/ups train --preset $(PRESET)

test: $(VENV)/.dev ## Run all tests (ONLY=tests/check for those of one part)
	$(BIN)/python -m pytest -n 4 --dist worksteal $(ONLY)

coverage: $(VENV)/.dev ## Run the tests that need no process, and fail below the share of lines in pyproject.toml
	$(BIN)/python -m pytest -n 6 $(IN_PROCESS) --cov --cov-report=term

soak: $(VENV)/.dev ## Run the long tests that CI leaves out
	$(BIN)/python -m pytest -m soak

oldest: $(VENV)/.dev ## Run all tests with the oldest dependencies that UPS admits (several GB; Python 3.11)
	$(BIN)/python tests/oldest.py -n 6 --dist worksteal

wandb-versions: $(VENV)/.dev ## Run the tests of all that touches wandb with each version of it (VERSIONS="0.19.11 0.31.0")
	$(BIN)/python tests/wandb_versions.py -n 6 --dist worksteal

wheel: $(VENV)/.dev ## Run the tests that need no process against the built wheel, without src
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel
	"$(PYTHON)" -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'
	build/wheel/venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS) --group test \
		"$$(echo build/wheel/*.whl)[media,pandas,polars,show,wandb]"
	cp -R docs examples pyproject.toml tests build/wheel
	cd build/wheel && venv/bin/python -m pytest -n 6 $(IN_PROCESS)

release: $(VENV)/.dev ## Build the archives in dist, and try the wheel with each extra
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m pytest -m 'release or not release' tests/release

lint: $(VENV)/.dev $(VENV)/.prose ## Check style, types and prose
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python prose/lint.py
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .

format: $(VENV)/.dev ## Put the style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev ## Build the documentation as a site, in build/docs
	$(BIN)/sphinx-build -a -W --keep-going --nitpicky -q docs build/docs
	@echo "Open build/docs/index.html"

bench: $(VENV)/.dev ## Print the tables of all benchmarks
	@failed=0; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || failed=1; done; exit $$failed

lock: ## Renew constraints.txt: the newest versions of all that development installs
	rm -rf build/lock
	"$(PYTHON)" -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check install --quiet --upgrade 'pip>=25.1'
	build/lock/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[show,simulator,wandb]' --group dev
	{ sed '/^[^#]/,$$d' constraints.txt; build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable | sed 's/+[^ ]*$$//'; } > build/lock/pins
	mv build/lock/pins constraints.txt

clean: ## Remove what the targets made, but no run
	rm -rf $(VENV) prose/node_modules .peers .environments build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "UPS needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.train: $(VENV)/.made pyproject.toml constraints.txt
	$(INSTALL) --constraint $(CONSTRAINTS) --editable '.[show,simulator,wandb]'
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	$(INSTALL) --constraint $(CONSTRAINTS) --group dev
	@touch $@

$(VENV)/.prose: $(VENV)/.made prose/package-lock.json
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a < 20 || (a == 20 && b < 18) ? 1 : 0)' 2>/dev/null \
		&& npm --version >/dev/null 2>&1 || { echo "make lint needs Node.js 20.18 or newer with npm, for the linter of prose"; exit 1; }
	npm ci --prefix prose --no-audit --no-fund --silent
	@touch $@
