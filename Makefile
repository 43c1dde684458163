# What a person or CI does with Paramedic. `make help` explains.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# One cache for all checkouts on this machine; PARAMEDIC_TOOLS moves it.
export PARAMEDIC_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/paramedic/tools
export PATH := $(PATH):$(PARAMEDIC_TOOLS)/cargo-tools/bin

INSTALL := crates/local/install
BUILD := cargo build --package cli --bin paramedic
SIM := cargo run --quiet --release --package simulation --bin sim --
PARAMEDIC := cargo run --quiet --package cli --bin paramedic --

.PHONY: help
help: ## Say what there is to do
	@echo 'Paramedic: from a page to an approved, verified fix. First steps: make up, or make demo.'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  LISTEN=127.0.0.1:9090            up, demo: the address of the gateway (port 0: any free one)'
	@echo '  APPROVE=yes                      demo: say yes to the plan without asking you'
	@echo '  CONTEXT=NAME                     demo: in the cluster of this context of your kubeconfig'
	@echo '  SEEDS=10000                      sim: how many days'
	@echo '  SEED=0                           sim, soak: the first seed (a random one if not said)'
	@echo '  HOURS=1                          soak: for how long'
	@echo '  MINUTES=1                        fuzz: for how long, each kind'
	@echo '  KINDS="webhook slack"            fuzz: only these; there are a2a, config and runbook besides'
	@echo '  TESTS="-E '\''test(/^rbac::/)'\''"     test: only some, as cargo-nextest selects them'
	@echo
	@echo 'What is missing (nats-server, PostgreSQL, Prometheus, Kubernetes) is found on PATH or installed, once, into'
	@echo '$(PARAMEDIC_TOOLS). NATS_URL and DATABASE_URL name servers to use instead of private ones.'

.PHONY: up
up: ## Run every role on this machine, with private NATS and PostgreSQL; Ctrl-C stops it
	@echo 'Building Paramedic (some minutes the first time).'
	@$(BUILD)
	@exec $(PARAMEDIC) up $(if $(LISTEN),--listen $(LISTEN))

.PHONY: demo
demo: ## Break a sample shop on a real Kubernetes API and watch the repair
	@$(if $(CONTEXT),true,$(start-kubernetes-install))
	@echo 'Building Paramedic (some minutes the first time).'
	@$(BUILD)
	@exec $(PARAMEDIC) demo $(if $(filter yes,$(APPROVE)),--approve) $(if $(CONTEXT),--context $(CONTEXT)) $(if $(LISTEN),--listen $(LISTEN))

.PHONY: test
test: cargo-tools ## Run all tests, on real servers
	@$(start-kubernetes-install)
	cargo build --workspace --bins --tests
	@# Run as it was built: asked for alone, cargo would build it again with fewer features of its libraries.
	$(or $(CARGO_TARGET_DIR),target)/debug/testbed cargo nextest run --workspace $(TESTS)

.PHONY: sim
sim: ## Play simulated days of many seeds; says which broke a promise, and how
	@$(SIM) --seeds $(or $(SEEDS),10000) --seed $(or $(SEED),$$RANDOM$$RANDOM)

.PHONY: fuzz
fuzz: ## Try all that comes from outside with anything at all, each kind for a minute
	@tests/fuzz/run.sh $(or $(MINUTES),1)$(if $(KINDS), $(KINDS))

.PHONY: soak
soak: ## Both for long: each fuzzer for a minute, then days for hours
	@tests/fuzz/run.sh 1
	@$(SIM) --hours $(or $(HOURS),1) --seed $(or $(SEED),$$RANDOM$$RANDOM)

.PHONY: conformance
conformance: ## Let A2A clients that others wrote test our bindings
	@tests/conformance/run.sh

.PHONY: lint
lint: cargo-tools ## Check format, lints, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny check bans licenses sources

.PHONY: bench
bench: ## Measure throughput, latency and memory, beside yardsticks of the same run
	@echo 'Building Paramedic and the bench for release (ten minutes and more the first time).'
	@cargo build --quiet --release --package cli --package bench --bin paramedic --bin bench
	@cargo run --quiet --release --package bench

.PHONY: cargo-tools
cargo-tools:
	@{ command -v cargo-nextest && command -v cargo-deny; } >/dev/null || $(INSTALL)/cargo-tools.sh

# Kubernetes is built from source the first time, which takes minutes: it goes on while cargo compiles. Whoever needs the
# result waits at the installer's lock. A failure shows there again, and there it is handled.
start-kubernetes-install = \
	if [ -z "$${KUBEBUILDER_ASSETS:-}" ] && ! command -v kube-apiserver >/dev/null && [ ! -d "$$PARAMEDIC_TOOLS/kubernetes" ]; then \
		echo "Building a Kubernetes API server meanwhile; its log: $$PARAMEDIC_TOOLS/kubernetes.log"; \
		echo 'Ctrl-C does not end that: it goes on, so that the next start has it.'; \
		mkdir -p "$$PARAMEDIC_TOOLS"; \
		$(INSTALL)/kubernetes.sh > "$$PARAMEDIC_TOOLS/kubernetes.log" 2>&1 < /dev/null & \
	fi
