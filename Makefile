# Needs Python 3.11+ and make; every target does its own set-up. `make` alone prints this list.
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

BIN := .venv/bin
STAMP := .venv/.set-up
PYPROJECTS := pyproject.toml inference-server/pyproject.toml localcluster/pyproject.toml demo/pyproject.toml benchmarks/pyproject.toml

.PHONY: help setup programs models crds crds-check generated-load-plot pretrained lint test unit slow integration e2e demo bench bench-server bench-soak bench-cold-start bench-reflex bench-split bench-fuzz bench-forecast bench-forecast-cost bench-replay bench-replay-live bench-planning bench-arbitration bench-mixing bench-capacity bench-accelerator clean FORCE

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with everything that is needed (skipped when nothing changed)

# An environment whose interpreter has gone is made again.
$(STAMP): uv.lock $(PYPROJECTS) scripts/setup.sh $(if $(shell $(BIN)/python -c 'print(1)' 2>/dev/null),,FORCE)
	@./scripts/setup.sh

programs: setup ## Find or build etcd, the Kubernetes control plane and Prometheus (about 10 minutes, once)
	@$(BIN)/python -m localcluster.binaries

models: setup ## Train the example's model and measure its variants (a minute or two, once)
	@$(BIN)/modelserver build search-ranker

crds: setup ## Write the CRD, the chart's copy and docs/crd-reference.md from the API types
	@$(BIN)/python -m modelscaler.api.crd write

crds-check: setup ## Fail when those files differ from the API types
	@$(BIN)/python -m modelscaler.api.crd check

generated-load-plot: setup ## Draw the load that the global model learns from, into docs/forecast.md (a minute)
	@$(BENCH).generated_load

pretrained: setup ## Make the network that ships with the package anew, from generated load (15 minutes; EXAMPLES=DIR to go on from)
	@$(BIN)/modelscaler forecast pretrain $(if $(EXAMPLES),--examples $(EXAMPLES))

lint: setup ## ruff, mypy --strict and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: unit slow integration ## Unit, slow and integration tests, against a real API server and etcd (about 20 minutes once set up)

# What pytest compiles is kept, whatever the environment says: otherwise every worker compiles every test again in every run.
unit: setup ## Quick tests without network or cluster, on every core (about 100 s of core time)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --dist loadfile --hypothesis-profile quick tests/unit

slow: setup ## Tests that train or build models, replay days of load, walk plans through time or wait for processes; properties at length
	@$(BIN)/pytest tests/slow
	@$(BIN)/pytest -m hypothesis tests/unit

integration: setup programs models ## Tests against a real API server and etcd
	@$(BIN)/pytest tests/integration

e2e: setup programs models ## The whole system on a local cluster (under 15 minutes)
	@$(BIN)/pytest tests/e2e

demo: setup programs models ## The whole system live, on a compressed day of load (under 5 minutes)
	@$(BIN)/modelscaler-demo run

BENCH := $(BIN)/python -m modelscaler_benchmarks
WITH_JSON = $(if $(JSON),--json $(JSON))

bench: setup models ## All benchmarks, short, on a machine that does nothing else (about 15 minutes); documents stay as they are
	@$(BENCH).server --quick
	@$(BENCH).soak --quick
	@$(BENCH).cold_start --quick
	@$(BENCH).reflex --quick
	@$(BENCH).split --quick
	@$(BENCH).fuzz --cases 2000
	@$(BENCH).planning --rounds 2 --fortnights 1
	@$(BENCH).arbitration
	@$(BENCH).forecast_cost

bench-server: setup ## The server beside LitServe, MLServer and BentoML, into docs/benchmarks.md (15 minutes; JSON=FILE for every figure)
	@$(BENCH).server $(WITH_JSON)

bench-soak: setup ## The server at 80 % of its capacity for 10 minutes: memory, errors, tail (JSON=FILE)
	@$(BENCH).soak $(WITH_JSON)

bench-cold-start: setup models ## From process start to ready, ONNX alone and with torch (JSON=FILE)
	@$(BENCH).cold_start $(WITH_JSON)

bench-reflex: setup ## Bursts beyond capacity, with the reflex and without (JSON=FILE)
	@$(BENCH).reflex $(WITH_JSON)

bench-split: setup ## A model split over processes beside the whole one (JSON=FILE)
	@$(BENCH).split $(WITH_JSON)

bench-fuzz: setup ## At least 50,000 malformed requests (JSON=FILE)
	@$(BENCH).fuzz $(WITH_JSON)

bench-forecast: setup ## Our forecasts of the CSV files in TRACES=DIR beside rivals (JSON=FILE FORECASTS=FILE; ONLY=NAMES or all)
	@test -n "$(TRACES)" || { echo "bench-forecast: give TRACES=DIR, a directory of .csv or .csv.gz files of timestamp,requests_per_second; JSON=FILE and FORECASTS=FILE for every figure and forecast" >&2; exit 2; }
	@$(BENCH).forecast $(TRACES) $(WITH_JSON) $(if $(FORECASTS),--forecasts $(FORECASTS)) $(if $(ONLY),--only "$(ONLY)")

bench-forecast-cost: setup ## What forecasts of 5,000 series and a retuning on 200 cost, into docs/benchmarks.md (7 minutes; JSON=FILE)
	@$(BENCH).forecast_cost --retuning --write $(WITH_JSON)

bench-planning: setup ## What plans for 5,000 ModelDeployments and two replayed weeks cost, into docs/benchmarks.md (4 minutes; JSON=FILE)
	@$(BENCH).planning --write $(WITH_JSON)

bench-capacity: setup ## The capacity model beside the real server, into docs/benchmarks.md (4 minutes; JSON=FILE; NETWORK=medium-encoder LOAD_SECONDS=20; DEVICE=cuda:0 VARIANT=half)
	@$(BENCH).capacity --write $(WITH_JSON) $(if $(NETWORK),--network $(NETWORK)) $(if $(LOAD_SECONDS),--seconds $(LOAD_SECONDS)) $(if $(DEVICE),--device $(DEVICE) --network large-encoder --variant $(or $(VARIANT),full))

bench-accelerator: setup ## A GPU beside the CPU, into docs/benchmarks.md (4 minutes; DEVICE=cuda:0; JSON=FILE; MEASURED=FILE to write down another machine's JSON)
	@$(BENCH).accelerator --device $(or $(DEVICE),cuda:0) --write $(WITH_JSON) $(if $(MEASURED),--measured $(MEASURED))

bench-arbitration: setup ## What sharing 64 accelerators among 500 ModelDeployments costs, into docs/benchmarks.md (JSON=FILE)
	@$(BENCH).arbitration --write $(WITH_JSON)

bench-mixing: setup ## What two pools at once save against one, replayed on generated days (10 minutes)
	@$(BENCH).mixing

bench-replay: setup ## Every policy on the CSV files in TRACES=DIR (JSON=FILE TIMELINE=DIR; STARTS="15 60 300" DAYS=2 SEEDS=5 MOST=16 ONLY=NAMES BOTH=1; NODE_START=PLACEMENT:SECONDS:REPLICAS_PER_NODE STOCK_OUT=PLACEMENT:FROM-TO FLASH_CROWD=AT:FACTOR:SECONDS METRICS_OUTAGE=ANSWER:FROM-TO; hours)
	@test -n "$(TRACES)" || { echo "bench-replay: give TRACES=DIR, a directory of .csv or .csv.gz files of timestamp,requests_per_second; JSON=FILE and TIMELINE=DIR for every figure and step" >&2; exit 2; }
	@$(BENCH).replay $(TRACES) $(WITH_JSON) $(if $(TIMELINE),--timeline-directory $(TIMELINE)) $(foreach start,$(STARTS),--cold-start $(start)) $(if $(DAYS),--days $(DAYS)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MOST),--most-settings $(MOST)) $(if $(ONLY),--policies $(ONLY)) $(foreach each,$(NODE_START),--node-start $(each)) $(foreach each,$(STOCK_OUT),--stock-out $(each)) $(foreach each,$(FLASH_CROWD),--flash-crowd $(each)) $(foreach each,$(METRICS_OUTAGE),--metrics-outage $(each)) $(if $(BOTH),--both)

bench-replay-live: setup programs models ## The replay beside a live local cluster on the same load, into docs/benchmarks.md (12 minutes; JSON=FILE, QUICK=1)
	@$(BENCH).replay_live $(WITH_JSON) $(if $(QUICK),--quick)

clean: ## Remove what was made in this folder (the cache in ~/.cache/modelscaler stays)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-output dist build

FORCE:
