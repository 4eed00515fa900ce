# make help lists the targets. Every target sets up .venv first; a second call does no set-up work.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON  ?= python3.11
PROFILE ?= demo
SEEDS   ?=
JOBS    ?=
LAUNCHER ?=
PROTOCOL ?= controlled
EXTRAS  ?= experiments,images,slurm,dev

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
TABLES := $(sort $(patsubst conf/table/%.yaml,%,$(wildcard conf/table/*.yaml)))
TABLE  = $(BIN)/python -m experiments.table profile=$(PROFILE) protocol=$(PROTOCOL) $(if $(JOBS),jobs=$(JOBS)) $(if $(LAUNCHER),launcher=$(LAUNCHER)) $(if $(SEEDS),seeds=$(SEEDS)) $(ARGS)

# Nothing asks, nothing waits for a hub or an account.
export WANDB_SILENT := true
export TOKENIZERS_PARALLELISM := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_%-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## create .venv with the pinned versions (minutes the first time: fairseq compiles)

# fairseq is built against the torch that is already installed (no build isolation), else pip would fetch a second one.
$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or call make PYTHON=/path/to/python3.11"; exit 2; }
	@command -v cc >/dev/null || { echo "error: no C compiler (cc) found; fairseq needs one, e.g. Debian's build-essential"; exit 2; }
	@echo "Setting up .venv (once; fairseq compiles, about five minutes on two cores)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch numpy cython setuptools wheel
	$(BIN)/python -m pip install -q --no-build-isolation -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

.PHONY: demo
demo: $(READY) ## the main job: train five encodings on embedded text, print the table (minutes, CPU)
	$(BIN)/python -m experiments.table table=alm profile=demo tracker=disabled $(ARGS)

PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: test-fast
test-fast: $(READY) ## the library's properties, config, records and data formats (at most 90 s on two cores)
	$(PYTEST) -q -m fast $(ARGS)

.PHONY: test
test: $(READY) ## the tests, parametrized cases thinned to pairwise choices
	$(PYTEST) -m "not slow and not faults and not slurm" $(ARGS)

.PHONY: test-faults
test-faults: $(READY) ## kills, full disks, bad data and bad configs; under 15 minutes on two cores
	$(PYTEST) -m faults tests/faults $(ARGS)

# One process: the tests' jobs run at the same time, as many as the cluster has room for.
.PHONY: test-slurm
test-slurm: $(READY) ## jobs on a real SLURM of two nodes, set up on this machine (root, Debian); under 10 minutes on two cores
	$(BIN)/python -m tests.slurm.cluster install
	$(BIN)/python -m pytest -m slurm tests/slurm $(ARGS)

.PHONY: test-all
test-all: $(READY) ## everything: all parametrized cases, the long tests, the faults
	$(PYTEST) --all-cases -m "not slurm" $(ARGS)
	$(MAKE) test-slurm

.PHONY: bench
bench: $(READY) ## measure speed on this machine: benchmarks/RESULTS.md (minutes; ARGS="encoding" for one subject)
	$(BIN)/python -m benchmarks $(ARGS)

# A file in conf/table/ is a target. With -j, tables that need the same run wait for it and train it once.
.PHONY: tables
tables: $(TABLES:%=table-%) ## every table: PROFILE=demo|laptop|small|paper PROTOCOL=controlled|published|both; -k goes on after a failure

table-alm: ## autoregressive language modeling: PROFILE= SEEDS=5 PROTOCOL=both JOBS=2 LAUNCHER=slurm ARGS='rows=none,rope dry_run=true'
table-blm: ## bidirectional language modeling
table-glue: ## text classification, GLUE
table-imagenet: ## image classification
table-anchors: ## rows with published figures beside ours: PROFILE=paper
# What was printed was measured with the authors' code.
table-anchors: PROTOCOL := published

$(TABLES:%=table-%): table-%: $(READY) FORCE
	$(TABLE) table=$*

table-%: ## ablations: table-projection, -angles, -decay, -feature_map, -normalizer, -backbone, -length
	@echo "error: no table '$*' (conf/table/$*.yaml); there are: $(TABLES)" >&2; exit 2

FORCE:

data-%: $(READY) ## prepare a data set: data-pydoc[_bpe], data-wikitext2[_bpe], data-wikitext103[_bpe], data-glue, data-imagenet, ...
	$(BIN)/python -m data_prep.$* $(ARGS)

.PHONY: glue-submission
glue-submission: $(READY) ## the zip for GLUE's server: ARGS="encoding=lrpe_orthogonal profile=paper seed=1"
	$(BIN)/python -m experiments.submission $(ARGS)

.PHONY: dashboard
dashboard: $(READY) ## all runs in one offline page, results/dashboard.html (ARGS=--serve: live on this machine)
	$(BIN)/python -m experiments.dashboard $(ARGS)

.PHONY: figures
figures: $(READY) ## figures of the finished runs, PDF and PNG, in results/figures
	$(BIN)/python -m experiments.figures $(ARGS)

.PHONY: runs
runs: $(READY) ## list the runs; ARGS="status=failed,dead"
	$(BIN)/python -m experiments.runs list $(ARGS)

.PHONY: verify-runs
verify-runs: $(READY) ## recompute identities and checksums of all records
	$(BIN)/python -m experiments.runs verify $(ARGS)

.PHONY: verify-measured
verify-measured: $(READY) ## render the tables in results/measured again and compare; check seals and identities
	$(BIN)/python -m experiments.measured verify $(ARGS)

.PHONY: wandb-report
wandb-report: $(READY) ## create or update wandb's workspace and report
	$(BIN)/python -m experiments.wandb_report $(ARGS)

.PHONY: lint
lint: $(READY) ## ruff check and format check; pyright on lrpe, experiments and data_prep
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

.PHONY: docs
docs: $(READY) ## build the documentation into build/docs; a broken link fails
	@$(BIN)/python -c "import material" 2>/dev/null || $(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]' --no-build-isolation
	$(BIN)/mkdocs build --strict --site-dir build/docs

.PHONY: format
format: $(READY) ## fix and format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(READY) ## write the installed versions to constraints.txt
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu//' | sort -f; } > constraints.new
	mv constraints.new constraints.txt

.PHONY: clean
clean: ## remove .venv and caches (results and data stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
