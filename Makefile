# make alone prints the verbs. Everything runs in .venv, which is made when it is missing or old.
PYTHON ?= python3.11
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup check fix test test-all demo bench tables model wheel

help:      ## print this
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready  ## make .venv: the package, editable, and all that developing it needs

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: setup  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: setup  ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup  ## the tests, less the slow ones
	$(BIN)/pytest -m 'not slow'

test-all: setup  ## every test
	$(BIN)/pytest

demo: setup  ## generate videos, index them, search: the road, offline
	$(BIN)/tempme demo --out demo

bench: setup  ## measure the encoder and the decoder on this machine
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/decode.py

wheel: setup  ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

tables: setup  ## results/ -> the table in the README
	$(BIN)/python -m tempme.tables README.md

model: setup  ## train scenes-tiny again, from nothing (under an hour on 2 quiet cores)
	$(BIN)/tempme train experiments/scenes/frames.toml --out runs/frames
	$(BIN)/tempme train experiments/scenes/frames-hard.toml --out runs/frames-hard
	$(BIN)/tempme train experiments/scenes/frames-order.toml --out runs/frames-order
	$(BIN)/python -m tempme.models runs/frames-order/retriever "experiments/scenes/frames-order.toml"
	$(BIN)/tempme train experiments/scenes/tempme.toml --out runs/tempme-0 --result results/scenes/tempme/seed-0.json
	$(BIN)/python -m tempme.models runs/tempme-0/retriever "experiments/scenes/tempme.toml, seed 0"
