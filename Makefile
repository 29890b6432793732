# Everything a newcomer needs is python3 and make: each target makes its own environment from the hash-pinned lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 4  # each has servers of its own; the longest files come first, and two or three of them mostly wait
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
LINT := app.py settings.py domain store oauth integrations jobs webhooks console sandbox commands tests bench

# another Google, for a second opinion; it needs node and no other package
EMULATE := .peers/emulate-0.11.2.tgz
EMULATE_SHA512 := 047b35ac6ff23d0e2433ef5a533edf8383039f432c8713acd02876722b8d14fb0de0f7c2c5058fffd0c6159c7e87e46f708c17e67fa1577d3c05aed2c4173a9d

unexport PYTHONDONTWRITEBYTECODE  # every process of ours would compile all of it again

.PHONY: demo test check bench serve peers lock clean

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

peers: $(EMULATE)  ## what others wrote to play Google, fetched by npm and held to its hash, for tests/conformance
	@echo "$(EMULATE_SHA512)  $(EMULATE)" | sha512sum --check --quiet --strict
	@mkdir -p .peers/emulate
	@tar --extract --gzip --file $(EMULATE) --strip-components 1 --directory .peers/emulate

$(EMULATE):
	@mkdir -p .peers
	@cd .peers && npm pack --silent emulate@0.11.2 >/dev/null

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
