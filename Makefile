# `make help` says what there is. Everything runs in .venv, which `make setup` makes.
PYTHON ?= python3
EXAMPLE ?= digits
BIN := .venv/bin
GENERATED := crds schemas docs workflows charts tests/golden/chart

.PHONY: help setup mlserver images locks demo test test-images e2e real-apiserver chain stories cluster-build cluster-up \
    cluster-down kind-up kind-down chaos walk lint generate verify figures
.DEFAULT_GOAL := help

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv with everything in it, and bring Prometheus; TORCH_INDEX=<address> takes torch from there
	@PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" sh scripts/setup.sh

mlserver: ## Bring MLServer, for releases with runtime mlserver on this machine
	@PYTHON="$(PYTHON)" sh scripts/mlserver.sh

images: ## Build the images operator, trainer and server (TARGETS, BUILDER, REGISTRY, TAG, BASE, TORCH_INDEX)
	@TARGETS="$(TARGETS)" BUILDER="$(BUILDER)" REGISTRY="$(REGISTRY)" TAG="$(TAG)" BASE="$(BASE)" \
	    TORCH_INDEX="$(TORCH_INDEX)" sh scripts/images.sh

locks: .venv ## Write the locks anew after pyproject.toml changed (UPGRADE=1 takes the newest versions)
	@$(BIN)/python scripts/locks.py $(if $(UPGRADE),--upgrade)

demo: .venv ## Three commits: one released, a better one promoted, a bad one rolled back (EXAMPLE=real-estate, KEEP=1)
	@$(BIN)/python -m examples.demo --example $(EXAMPLE) $(if $(KEEP),--keep)

test: .venv ## Unit, golden, API contract and the local loop (JOBS=2: two files at a time)
	@$(BIN)/python -m pytest $(if $(JOBS),-n $(JOBS) --dist loadfile)

test-images: .venv ## Build the images of operator and server, and run them
	@$(BIN)/python -m pytest tests/images -m images -o addopts="-ra --strict-markers"

e2e: real-apiserver chain stories ## All that `make test` leaves out, but for images

real-apiserver: .venv ## What needs a real API server (kube-apiserver and etcd)
	@$(BIN)/python -m pytest -m "real_apiserver and not images" -o addopts="-ra --strict-markers"

chain: .venv ## The whole chain on the other example, and kill -9 in the midst of it
	@$(BIN)/python -m pytest -m e2e -o addopts="-ra --strict-markers"

stories: .venv ## Stories on a real cluster: KUBECONFIG's, else kind's, else this machine's (STORIES="test_routed test_away")
	@$(BIN)/python -m pytest -m cluster -o addopts="-ra --strict-markers" \
	    $(or $(patsubst %,tests/e2e/stories/%.py,$(STORIES)),tests/e2e/stories)

cluster-build: .venv ## Build what a cluster on this machine is made of (Go; once)
	@$(BIN)/python -m tests.e2e.cluster build

cluster-up: .venv ## A cluster on this machine, without Docker (Linux, root)
	@$(BIN)/python -m tests.e2e.cluster up

cluster-down: .venv ## End it and remove all of it
	@$(BIN)/python -m tests.e2e.cluster down

kind-up: .venv ## A cluster by kind, with a pool of pretended GPUs
	@$(BIN)/python -m tests.e2e.cluster kind-up

kind-down: .venv ## Remove it
	@$(BIN)/python -m tests.e2e.cluster kind-down

chaos: .venv ## kill -9 in every phase of a whole loop (SEEDS=300)
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),300)

walk: .venv ## A release that anything happens to, on every core (STEPS=1000000 SEED=0)
	@$(BIN)/python -m tests.walk --steps $(or $(STEPS),1000000) $(if $(SEED),--seed $(SEED))

lint: .venv ## ruff, mypy, the layers; actionlint if it is there
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/python -m tests.support.actionlint

generate: .venv ## Write CRDs, schemas, reference pages, dashboards and golden Workflows anew
	@$(BIN)/python -m modelops.api.generate
	@$(BIN)/python -m modelops.cli.reference
	@$(BIN)/python -m modelops.telemetry.dashboards
	@$(BIN)/python -m tests.contract.test_listing
	@$(BIN)/python -m tests.golden.workflows
	@$(BIN)/python -m tests.golden.chart

verify: generate ## Regenerate everything; a dirty tree fails
	@git diff --exit-code -- $(GENERATED) || { echo "generated files differ: commit what 'make generate' wrote"; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" || { echo "generated files are not committed"; exit 1; }

.venv:
	@echo "there is no .venv yet; run: make setup" >&2; exit 1
