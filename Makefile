# Everything that is done with this project, from a fresh clone with Python 3.11+ and make alone.
# `make` shows the list. Virtual environment, versions and tools look after themselves.

.DEFAULT_GOAL := help
.PHONY: help run run-cluster test check schema test-browser test-clients torture bench-documents test-container explorer released clean bench bench-writes bench-subscriptions bench-browsers bench-growth bench-lists bench-instructions bench-start profile
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PINS := .ci/constraints.txt

# Build requirements are pinned as well; newer versions of pip read the second name.
PIP := PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) $(BIN)/python -m pip install --quiet \
       --disable-pip-version-check --no-input

# A stamp says what is installed in the virtual environment; it is old once the wishes or the pins change.
INSTALL = @echo "Installing $(1) ..."; $(PIP) --editable '.$(2)' && touch $@

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run ## Start the service, a local EPoint and a demo shop; PORT=9080 SIMULATOR_PORT=9081 SHOP_PORT=9082 choose others
	@$(BIN)/gql-epoint sandbox $(if $(PORT),--port $(PORT)) $(if $(SIMULATOR_PORT),--simulator-port $(SIMULATOR_PORT)) \
	  $(if $(SHOP_PORT),--shop-port $(SHOP_PORT))

run-cluster: $(VENV)/.cluster ## Start PostgreSQL, three nodes over it and a local EPoint; PORTS=9080,9082,9083 SIMULATOR_PORT=9081
	@$(BIN)/gql-epoint cluster $(if $(PORTS),--ports $(PORTS)) $(if $(SIMULATOR_PORT),--simulator-port $(SIMULATOR_PORT))

# Some tests give EPoint a second to answer. On two processors that are busy as well, two tests at a time can be too many.
test: $(VENV)/.test ## Run the tests; ARGS="-k refund" chooses some, ARGS="-n auto --dist worksteal" runs several at a time
	$(BIN)/python -m pytest -m "not browser and not clients and not container" $(ARGS)

torture: $(VENV)/.test ## Simulate bad days; SEED=7 chooses them, MINUTES=5 how many (0: just that round), STORE=sqlite or postgresql
	$(BIN)/python -m tests.torture $(or $(SEED),$$(date +%s)) $(or $(MINUTES),1) $(STORE)

bench-documents: $(VENV)/.test ## Time the refusal of documents made to be slow, and what they cost their neighbours
	@$(BIN)/python -m tests.benchmarks.documents $(RUNS)

check: $(VENV)/.check ## Lint, format, types, and whether schema.graphql is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/gql-epoint schema --check schema.graphql

schema: $(VENV)/.run ## Write schema.graphql anew
	$(BIN)/gql-epoint schema > schema.graphql.new
	mv schema.graphql.new schema.graphql

released: ## Keep the schema of the version in pyproject.toml, which the next release must not break
	@version=$$(sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml); \
	{ echo "# The schema of $$version"; cat schema.graphql; } > tests/clients/released.graphql; \
	echo "tests/clients/released.graphql is the schema of $$version."

# Chromium has been seen to stop answering, and Playwright then waits without end. Whatever fails by itself just fails.
HUNG := --reruns 1 --only-rerun "from pytest-timeout" -r R

test-browser: $(VENV)/.browser ## Drive the pages in a real Chromium; CHROMIUM names one
	@browser="$(CHROMIUM)"; \
	for name in chromium chromium-browser google-chrome chrome; do \
	  [ -n "$$browser" ] || browser=$$(command -v $$name || true); \
	done; \
	if [ -z "$$browser" ]; then \
	  echo "make test-browser lacks a Chromium: install one (apt-get install chromium), or set CHROMIUM to its path." >&2; \
	  exit 1; \
	fi; \
	CHROMIUM="$$browser" $(BIN)/python -m pytest -m browser tests/browser $(HUNG) $(ARGS)

test-clients: $(VENV)/.clients ## Run the clients that users bring against the service; needs Node 18+ and npm
	@for tool in node npm; do \
	  command -v $$tool > /dev/null || \
	    { echo "make test-clients lacks $$tool: install Node 18 or newer (apt-get install nodejs npm)." >&2; exit 1; }; \
	done
	@node -e 'process.exit(Number(process.versions.node.split(".")[0] < 18))' || \
	  { echo "make test-clients needs Node 18 or newer; this is $$(node --version)" >&2; exit 1; }
	cd tests/clients && npm ci --no-audit --no-fund --loglevel=error
	$(BIN)/python -m pytest -m clients tests/clients $(ARGS)

test-container: $(VENV)/.test ## Do what the Containerfile says without a container engine; needs root on Linux
	@[ "$$(id -u)" = 0 ] && command -v unshare setpriv > /dev/null || \
	  { echo "make test-container needs Linux, root, and unshare and setpriv of util-linux." >&2; exit 1; }
	$(BIN)/python -m pytest -m container tests/container $(ARGS)

bench-writes: $(VENV)/.bench ## Measure durable transitions at the cashier; ARGS="--postgres" on PostgreSQL
	$(BIN)/python -m tests.benchmarks.writes $(ARGS)

bench-subscriptions: $(VENV)/.bench ## Measure what subscribers cost and how soon all hear; ARGS="--counts 2000 --transports SSE" chooses
	$(BIN)/python -m tests.benchmarks.subscriptions $(ARGS)

bench-browsers: $(VENV)/.bench ## Measure browsers that each watch a checkout of their own; ARGS="--counts 3000 --transports SSE" chooses
	$(BIN)/python -m tests.benchmarks.browsers $(ARGS)

bench-growth: $(VENV)/.bench ## Measure the same work on 10 thousand and on 1 million transactions; 3 GB of disk; ARGS="--postgres" on PostgreSQL
	$(BIN)/python -m tests.benchmarks.growth $(ARGS)

bench-lists: $(VENV)/.bench ## Measure what compiled execution saves on lists of transactions; ARGS=25 takes so many rounds
	@$(BIN)/python -m tests.benchmarks.lists $(ARGS)

bench-instructions: $(VENV)/.bench ## Count the instructions of a payment, whatever else the machine does; needs valgrind
	@$(BIN)/python -m tests.benchmarks.instructions

bench-start: $(VENV)/.bench ## Time from a command to its first answer
	@$(BIN)/python -m tests.benchmarks.start $(ARGS)

profile: $(VENV)/.bench ## Say where the microseconds of a request go; ARGS="transaction" or "pay --writer"
	$(BIN)/python -m tests.benchmarks.profile $(ARGS)

bench: $(VENV)/.bench ## Measure payments side by side with what else one would write; ARGS="--rounds 9" measures longer
	$(BIN)/python -m tests.benchmarks $(ARGS)

explorer: ## Build the GraphiQL page anew from its sources; needs Node 20.19+ and npm
	@for tool in node npm; do \
	  command -v $$tool > /dev/null || \
	    { echo "make explorer lacks $$tool: install Node 20.19 or newer. Nothing else needs it." >&2; exit 1; }; \
	done
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(Number(a < 20 || (a == 20 && b < 19)))' || \
	  { echo "make explorer needs Node 20.19 or newer; this is $$(node --version)" >&2; exit 1; }
	cd gql_epoint/web/explorer && npm ci --no-audit --no-fund && npm run build

clean: ## Remove the virtual environment and caches; databases stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------------------

$(VENV)/.run: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,gql-epoint,)

$(VENV)/.cluster: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,PostgreSQL and its driver,[cluster])

$(VENV)/.test: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,what the tests need,[test])

$(VENV)/.check: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,what the checks need,[test$(comma)check])

$(VENV)/.browser: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,what the browser tests need,[test$(comma)browser])

$(VENV)/.clients: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,what the client tests need,[test$(comma)clients])

$(VENV)/.bench: pyproject.toml $(PINS) | $(BIN)/python
	$(call INSTALL,what the benchmarks need,[bench])

comma := ,

# The first Python that runs and is new enough; PYTHON=/path/to/python chooses one.
$(BIN)/python:
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$python -c "$$new_enough" 2> /dev/null; then \
	    echo "Making $(VENV) with $$($$python --version) ..."; \
	    $$python -m venv $(VENV) && exit 0; \
	    echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "gql-epoint needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || echo none)." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	exit 1
