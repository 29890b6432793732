# Everything a newcomer needs is python3 and make: each target makes its own environment from the hash-pinned lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 3  # each has servers of its own; the longest files come first, and two of them mostly wait
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
LINT := app.py settings.py domain store oauth integrations jobs webhooks console sandbox commands tests bench

unexport PYTHONDONTWRITEBYTECODE  # every process of ours would compile all of it again

.PHONY: demo test check bench serve lock clean

demo: $(VENV)/.run  ## tell the whole story on the stage and stay up; ONCE=1 ends after the story
	@$(BIN)/linekeeper demo $(if $(ONCE),--once)

test: $(VENV)/.dev  ## every test; those that need Chromium or Asterisk say which package is missing
	@$(PYTEST)

check: $(VENV)/.dev  ## format, lint, types, tests
	@$(BIN)/ruff format --check $(LINT)
	@$(BIN)/ruff check $(LINT)
	@$(BIN)/mypy
	@$(PYTEST)

bench: $(VENV)/.dev  ## print the measures; nothing is asserted here
	@$(BIN)/python -m bench

serve: $(VENV)/.run  ## the whole house on this machine, embedded servers included
	@$(BIN)/linekeeper up

$(VENV)/.run: requirements.lock pyproject.toml
	@echo "Making the environment in $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

lock:  ## pin every dependency again, by hash and without naming a host
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet \
		--all-extras pyproject.toml --output-file requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet \
		pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock

clean:
	rm -rf $(VENV) var build *.egg-info
