# The commands of the project. `make demo` and `make test` set up what they need; the others say what is missing.
SHELL := /bin/bash
PYTHON := .venv/bin/python
PLUGIN := pytest-mini-kubernetes
PACKAGES := apimachinery componentbase kubeclient apiserver scheduler controllers kubelet proxy clusterdns minikubectl minikubeadm
CLUSTER ?= demo
ROUNDS ?= 5
MINUTES ?= 60
export PATH := $(CURDIR)/.venv/bin:$(PATH)
.DEFAULT_GOAL := help

.PHONY: help install venv images check format unit integration e2e test demo monitoring demo-down node-image fresh bench bundle vagrant-check soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install what is missing: Debian packages, Docker, .venv with all commands (root or sudo)
	@deploy/setup.sh

venv: ## only .venv, enough for `make check`
	@deploy/setup.sh venv

images: install ## build all images, each once per state of its inputs
	@deploy/base-image.sh
	@$(PYTHON) deploy/images.py

node-image: install ## build only the node image and what it carries: all that a cluster needs
	@deploy/base-image.sh
	@$(PYTHON) deploy/images.py node

check: venv ## linters, types, import contracts, unit tests: under a minute
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy $(PACKAGES) $(PLUGIN)/pytest_mini_kubernetes.py
	@.venv/bin/lint-imports
	@$(MAKE) --no-print-directory unit

format: venv ## bring the code into its form
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

unit: venv
	@$(PYTHON) -m pytest tests -m "not integration and not e2e" --ignore=tests/integration --ignore=tests/e2e

integration: install ## tests with a real etcd and a real API server
	@export KUBECTL=$$(deploy/kubectl.sh) PATH=$$(dirname $$(deploy/kubectl.sh)):$$PATH; $(PYTHON) -m pytest tests/integration
	@export KUBECTL=$$(deploy/kubectl.sh) PATH=$$(dirname $$(deploy/kubectl.sh)):$$PATH; $(PYTHON) -m pytest tests -m integration --ignore=tests/integration --ignore=tests/e2e
	@$(PYTHON) -m pytest $(PLUGIN)

e2e: images ## tests with a real cluster of node containers and real kubectl
	@export KUBECTL=$$(deploy/kubectl.sh) PATH=$$(dirname $$(deploy/kubectl.sh)):$$PATH; $(PYTHON) -m pytest tests/e2e -m "not soak"

test: ## everything, from a fresh machine on
	@$(MAKE) --no-print-directory install check integration e2e

demo: node-image ## a cluster of three nodes with a Service, shown
	@$(PYTHON) deploy/demo.py --name $(CLUSTER)

monitoring: node-image ## Prometheus in the cluster CLUSTER, scraping every service (docs/monitoring.md)
	@$(PYTHON) deploy/images.py prometheus
	@docker tag $$(jq -r .prometheus .build/images.json) mini-kubernetes/prometheus:latest
	@$(PYTHON) -m minikubeadm cluster load-image mini-kubernetes/prometheus:latest --name $(CLUSTER)
	@$(PYTHON) -m minikubeadm cluster kubeconfig --name $(CLUSTER) >.build/monitoring.conf
	@export KUBECONFIG=.build/monitoring.conf KUBECTL=$$(deploy/kubectl.sh); \
	    $$KUBECTL apply -k deploy/prometheus && $$KUBECTL -n monitoring rollout status deployment/prometheus --timeout=90s

demo-down: ## remove the demo's cluster: containers, volumes, networks, routes
	@deploy/demo-down.sh $(CLUSTER)

fresh: install ## the README's two commands inside a bare Debian, so that a missing install step shows
	@deploy/fresh.sh

bench: node-image ## measure the API server (PEER=DIR: beside the real one that bench/loaders/peer.sh built) and a cluster
	@$(PYTHON) -m bench $(if $(PEER),--peer $(PEER)) --json .build/bench.json
	@$(PYTHON) -m bench.cluster

bundle: node-image ## .build/bundle: what a plain Debian needs to become a node (deploy/install-node.sh), for hosts and VMs
	@$(PYTHON) deploy/bundle.py

vagrant-check: bundle ## the Vagrantfile's machines as containers: up, used, removed (PROVIDER=libvirt: as VMs)
	@deploy/vagrant/check.sh $(PROVIDER)

soak: images ## an hour (MINUTES) of the history checker, then kills under updates and lost nodes, ROUNDS times over
	@HISTORY_MINUTES=$(MINUTES) $(PYTHON) -m pytest tests/chaos/test_history.py -s
	@for round in $$(seq $(ROUNDS)); do \
	    echo "soak: round $$round of $(ROUNDS)"; \
	    CHAOS_TURNS=4 KUBECTL=$$(deploy/kubectl.sh) $(PYTHON) -m pytest -s \
	        tests/e2e/test_recovery.py tests/e2e/test_lost_nodes.py tests/e2e/test_updates_under_kills.py tests/e2e/test_troubles.py tests/e2e/test_whole_host.py || exit 1; \
	done

clean: ## forget what was built (images stay)
	@rm -rf .build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
