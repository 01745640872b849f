# make alone prints the verbs. Everything runs in .venv, which is made when it is missing or old.
PYTHON ?= python3.11
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# The tests start hundreds of processes: what those import is compiled once, and kept beside its source.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check fix test test-slow test-all test-lowest mutants demo demo-scale bench soak docs results \
        tables model model-lively \
        wheel serve fuzz screenshot

help:      ## print this
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready .venv-s3/ready  ## make .venv: the package, editable, and all that developing it needs

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
		--editable '.[dev,sentence-transformers,mteb,ray-metrics,milvus-lite]'
	@touch $@

# The S3 server of the tests (moto) needs an older python-dateutil than the package, so it lives apart.
.venv-s3/ready: constraints-s3.txt
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python -m pip install --quiet --requirement constraints-s3.txt
	@touch $@

check: setup  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: setup  ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup  ## the tests, less the slow ones and most of every product of cases
	$(BIN)/pytest -n auto --dist worksteal -m 'not slow'

test-slow: setup  ## what `make test` leaves out
	$(BIN)/pytest -n auto --dist worksteal -m slow

test-all: test test-slow  ## every test

test-lowest: pyproject.toml constraints.txt  ## the tests, on the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) tools/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/constraints.txt --editable '.[dev]'
	.venv-lowest/bin/pytest -n auto --dist worksteal -W default -m 'not slow'  # old ones warn of their own

mutants: setup  ## change lines of merging, schedule, retriever and index: which change does no test see? (hours)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	$(BIN)/mutmut run
	$(BIN)/mutmut results

demo: setup  ## generate videos, index them, search: the road, offline
	$(BIN)/tempme demo --out demo

demo-scale: setup  ## Ray, an S3 server and Milvus Lite on this machine: index, kill, resume, search
	PYTHONPATH=tools $(BIN)/python tools/demo_scale.py

bench: setup  ## measure the encoder, the decoder and their sharing of cores on this machine
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/overlap.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/fit.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/threads.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/search.py

soak: setup  ## attack tempme for an hour: kills, damage, bombs, crowds -> docs/reliability.md
	$(BIN)/python benchmarks/soak.py

docs: setup  ## docstrings and help texts -> docs/methods.md, cli.md, python.md, http.md
	PYTHONPATH=tools:benchmarks $(BIN)/python -m documents pages

serve: setup  ## the page on the index of `make demo`
	$(BIN)/tempme serve --index demo/demo.tempme

# At least 10,000 requests by default; fewer: make fuzz CASES=10
CASES ?= 700
fuzz: setup  ## draw requests from the OpenAPI document; the service has to answer them all
	$(BIN)/python tools/fuzz_service.py --cases $(CASES)

screenshot: setup  ## README's picture of the page, from the index of `make demo`
	$(BIN)/python tools/screenshot.py

wheel: setup  ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# A seed whose file is there is not run again; remove the file to do so. `make results/scenes/tempme.json`
# makes one row. To try a rule: make quick/scenes/tempme.json RESULTS=quick RUNS=quick/runs SEEDS=0 \
#   TRAIN='--set recipe.steps=2 --set data.pool=8 --set evaluation.gallery=20'
SEEDS ?= 0 1 2
RESULTS ?= results
RUNS ?= runs
TRAIN ?=
EXPERIMENTS := $(filter-out scenes-tiny/%, \
	$(patsubst experiments/%.toml,%,$(sort $(shell find experiments -name '*.toml'))))

define rule_of_seed
$(EXPERIMENTS:%=$(RESULTS)/%/seed-$(1).json): $(RESULTS)/%/seed-$(1).json: | experiments/%.toml .venv/ready
	$(BIN)/tempme train experiments/$$*.toml --seed $(1) --out $(RUNS)/$$*/seed-$(1) --result $$@ $(TRAIN)
endef
$(foreach seed,$(SEEDS),$(eval $(call rule_of_seed,$(seed))))

# Systems of UMT begin with one backbone, trained first; those of questions with that which learnt to answer.
UMT_BACKBONE := runs/scenes-umt/backbone
ASKED_BACKBONE := runs/scenes-questions/backbone
ALIKE := $(filter scenes-umt/umt%,$(EXPERIMENTS)) scenes-questions/backbone
ASKED := $(filter scenes-questions/umt%,$(EXPERIMENTS))
$(foreach seed,$(SEEDS),$(ALIKE:%=$(RESULTS)/%/seed-$(seed).json)): | $(UMT_BACKBONE)/retriever/system.toml
$(foreach seed,$(SEEDS),$(ASKED:%=$(RESULTS)/%/seed-$(seed).json)): | $(ASKED_BACKBONE)/answerer/answerer.toml

$(UMT_BACKBONE)/retriever/system.toml: | .venv/ready
	$(BIN)/tempme train experiments/scenes-umt/backbone.toml --out $(UMT_BACKBONE)

$(ASKED_BACKBONE)/answerer/answerer.toml: | $(UMT_BACKBONE)/retriever/system.toml
	$(BIN)/tempme train experiments/scenes-questions/backbone.toml --out $(ASKED_BACKBONE)

$(EXPERIMENTS:%=$(RESULTS)/%.json): $(RESULTS)/%.json: $(foreach seed,$(SEEDS),$(RESULTS)/%/seed-$(seed).json)
	$(BIN)/python -m tempme.results.runs $@

results: $(patsubst %,$(RESULTS)/%.json,$(filter scenes/%,$(EXPERIMENTS)))  ## train what results/scenes lacks

tables: setup  ## results/ -> the tables of README and docs/results.md, and the plots
	PYTHONPATH=tools:benchmarks $(BIN)/python -m documents plots tables

STAGES := frames frames-hard frames-order videos
model: setup  ## train scenes-tiny again, from nothing (about an hour on 2 quiet cores)
	for stage in $(STAGES); do \
	  $(BIN)/tempme train experiments/scenes-tiny/$$stage.toml --out runs/$$stage \
	    --result results/scenes-tiny/$$stage/seed-0.json || exit 1; \
	done
	$(BIN)/python -m tempme.models scenes-tiny runs/videos/retriever "experiments/scenes-tiny/videos.toml, seed 0"

model-lively: setup  ## train scenes-lively again, on from scenes-tiny (an hour on one core)
	OMP_NUM_THREADS=1 $(BIN)/python tools/lively_backbone.py --out runs/lively
	$(BIN)/python -m tempme.models scenes-lively runs/lively/both/retriever "tools/lively_backbone.py, seed 0"
