# Pileus: everything a developer runs. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# SEED=n: the order of all tests, and the sample of live ones, as in the run that printed it.
PYTEST := $(BIN)/python -m pytest$(if $(SEED), --randomly-seed=$(SEED))
# bench/ is checked from its first file on.
TYPED := src tests $(if $(wildcard bench/*.py),bench)
JOBS ?= 2

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## system packages, network engine and .venv; safe to repeat
	bin/setup

.PHONY: services
services: ## the servers that live tests start for themselves (root); a cloud of one machine needs none
	bin/setup --services

.PHONY: images
images: setup ## build the guest images that are missing, or older than their recipe
	@for name in tiny debian-12 tiny-container debian-12-container; do $(BIN)/pileus image build $$name --if-changed; done

.PHONY: demo
demo: setup ## one command to a real Debian guest over ssh (NONCE=text to choose what user-data writes)
	bin/demo

.PHONY: test
test: setup check unit images first-light ## the gate: check, all tests without guests, one live path (15 minutes at most)

# Half of what a worker begins with is compiling the tests: whatever the shell says, that is done once.
unit: export PYTHONDONTWRITEBYTECODE :=
# One worker more than there are jobs: tests wait for clouds of theirs, and for what must not happen.
# In memory, where there is such a folder: no test is about the disk, and clouds that start wait for it.
unit: export TMPDIR := $(or $(TMPDIR),$(if $(wildcard /dev/shm/.),/dev/shm,/tmp))
.PHONY: unit
unit: ## all tests that boot nothing, in parallel (JOBS=2); those of `house` are part of `check`
	$(PYTEST) -n $(shell echo $$(($(JOBS) + 1))) --dist worksteal tests --ignore tests/house --ignore tests/live \
	    --ignore tests/clients -o tmp_path_retention_policy=failed

.PHONY: first-light
first-light: ## one live path: a guest from RunInstances to ssh (root)
	$(PYTEST) --live tests/live/test_first_light.py

.PHONY: test-live
test-live: images services ## all that boots guests or real services (root); AREA=name MINUTES=25 SEED=n to narrow
	$(PYTEST) --live tests/live $(if $(AREA),--area=$(AREA)) $(if $(MINUTES),--minutes=$(MINUTES))

.PHONY: test-clients
test-clients: images ## unchanged clients make and remove a VPC of guests (root); AREA=ansible, awscli, boto3 or opentofu
	@$(if $(filter ansible,$(or $(AREA),ansible)),bin/setup --clients)
	@$(if $(filter opentofu,$(or $(AREA),opentofu)),bin/setup --opentofu)
	$(PYTEST) --clients tests/clients$(if $(AREA),/test_$(AREA).py)

.PHONY: fuzz
fuzz: ## a million inputs for each parser, guided by coverage (RUNS=n, TARGET=name to narrow)
	@for target in $(or $(TARGET),$$($(BIN)/python -m tests.fuzz --list 2>/dev/null)); do \
	    echo "── $$target"; $(BIN)/python -m tests.fuzz $$target $(if $(RUNS),--runs $(RUNS)) 2>&1 | grep -e stat:: -e ERROR -e Error -e 'Test unit'; \
	done

.PHONY: worlds
worlds: ## simulated worlds of all kinds, in turn (SEEDS=from:to)
	$(BIN)/python -m tests.loops.samples $(or $(SEEDS),0:3000)

.PHONY: storm
storm: images ## twelve attackers at once on a real cloud beside a victim (root; LENGTH=n seconds)
	$(BIN)/python -m tests.attack $(if $(LENGTH),--seconds $(LENGTH))

.PHONY: cluster
cluster: images services ## a cloud of three machines in network namespaces, and a prompt to cut, kill and slow them (root)
	@$(BIN)/python -m tests.cluster

.PHONY: prove-fresh
prove-fresh: setup ## the README's two commands in a clean Debian 12 root file system (root; NONCE=text)
	packaging/prove-fresh

.PHONY: check
check: ## ruff, mypy, import contracts and house rules (under a minute)
	@$(MAKE) -j $(JOBS) --output-sync=target --keep-going lint types imports house

.PHONY: lint
lint: ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: ## mypy --strict, tests too
	$(BIN)/mypy $(TYPED)

.PHONY: imports
imports: ## who may import whom
	$(BIN)/lint-imports

.PHONY: house
house: ## sizes, names, docstrings, locks, documents
	$(PYTEST) -q tests/house

.PHONY: format
format: ## let ruff repair what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: setup ## figures against their yardsticks, one line each
	$(BIN)/python -m bench

.PHONY: bench-boot
bench-boot: images ## boots against QEMU started by hand, memory and idle figures, one line each (root, 10 minutes)
	$(BIN)/python -m bench.boot

.PHONY: bench-container
bench-container: images ## launches of containers against lxc-start by hand, many at once, new roots by size (root)
	$(BIN)/python -m bench.container

.PHONY: bench-bus
bench-bus: setup services ## the bus over RabbitMQ against the unix socket, one line a figure
	$(BIN)/python -m bench.bus

.PHONY: bench-fair
bench-fair: setup ## one tenant's latency while another loads the cloud fully, one line a figure (a minute, stub)
	$(BIN)/python -m bench.fair

.PHONY: bench-ports
bench-ports: setup ## a port's order on one network engine with 1 to 10,000 ports, as a table (root, two minutes)
	$(BIN)/python -m bench.ports

.PHONY: bench-suite
bench-suite: setup ## 100 boto3 tests with the pytest plugin against moto's server and mock_aws, one line each (stub, 10 minutes)
	$(BIN)/python -m bench.suite

.PHONY: bench-scale
bench-scale: setup services ## 1,000 stub hosts and 10,000 instances over PostgreSQL and RabbitMQ, one line a figure
	$(BIN)/python -m bench.scale $(if $(HOSTS),--hosts $(HOSTS)) $(if $(INSTANCES),--instances $(INSTANCES))

.PHONY: reference
reference: ## write docs/reference anew from the code
	$(BIN)/python docs/reference/make.py

.PHONY: reliability
reliability: ## write the kill matrices in docs/reliability.md from the results of make test-live AREA=kills, roles_kills, cluster_kills
	$(BIN)/python -m tests.kills

.PHONY: deb
deb: setup ## the wheel, and the Debian packages of the cloud and of the mcc tools, into dist/
	packaging/deb

.PHONY: changelog
changelog: ## preview the next release's notes from changelog.d
	$(BIN)/towncrier build --draft --version next

.PHONY: clean
clean: ## remove caches and build output (never a state directory, never .venv)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
