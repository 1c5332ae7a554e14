# `make repro` and `make test` need python3 (3.11 to 3.13), git and a package registry; nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.13 python3.12 python3.11 python3 2>/dev/null | while read -r p; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$p" && break; done)
lower = $(shell echo '$(1)' | tr '[:upper:]' '[:lower:]')
INSTALLED := .venv/installed
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Threads that wait for one another spin this long before they sleep: on an idle machine a third faster
# than sleeping at once, and a busy neighbour cannot make them crawl, as it does when they spin for ever.
export GOMP_SPINCOUNT ?= 200000

.PHONY: help setup repro evaluate test fuzz lint types profile plan retry ledger deps bench clean

help: ## show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3 of version 3.11 to 3.13 on PATH; install one, or make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@test ! -L .venv || { echo ".venv is a link, and what it points to would be emptied; remove the link" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	@echo "installing packages into .venv (a few minutes, several GB, once) ..."
	@# pip compiles on one core; compileall takes all of them. Left to the first import, bytecode would never be kept
	@# where PYTHONDONTWRITEBYTECODE is set, as it often is in containers, and each process would start seconds later.
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[dev]'
	@# Some packages hold files for other versions of Python, which do not compile. A third of all are never imported here.
	.venv/bin/python -m compileall -qq -j 0 -x '/tests/|/testing/_internal/|/transformers/models/|/yt_dlp/extractor/' \
		.venv/lib || true
	touch $@

setup: $(INSTALLED) ## make .venv with pinned packages

repro: setup ## run what changed, then print the results and the path of the report
	@touch .venv/started
	@# A kill may leave DVC's list of locks empty, which it does not forgive.
	@test -s .dvc/tmp/rwlock || rm -f .dvc/tmp/rwlock
	dvc repro
	@# The report stage prints its table; when it had nothing to do, print the one there is.
	@test report/results.txt -nt .venv/started || cat report/results.txt
	@echo "report: $(CURDIR)/report/index.html"

evaluate: setup ## how robust is my model: make evaluate MODEL=file.py:function CLIPS=folder (docs/own_models.md)
	@python -m tools.evaluate "$(MODEL)" "$(CLIPS)" $(foreach option,NAME EPS SECONDS DOMAIN WEIGHTS CLASSES OPTIONS PROFILES,\
		$(if $($(option)),--$(call lower,$(option)) "$($(option))"))

test: setup ## run the tests
	@# One process more than cores: some tests wait for DVC or for a server. A file's tests stay together.
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

fuzz: setup ## property tests at random, fifty times as many examples as in make test
	python -m pytest -n 2 --ignore tests/pipeline -m hypothesis --hypothesis-profile fuzz

lint: setup ## ruff, style and format
	ruff check .
	ruff format --check .

types: setup ## mypy, strict
	mypy

profile: setup ## switch params.yaml: make profile NAME="audioset paper" (docs/params.md lists the profiles)
	python -m tools.profile $(NAME)

plan: setup ## what a run of these params would take: shards, disk, time, losses; changes nothing
	python -m tools.plan

ledger: setup ## what became of the clips: counts by split, error and damage; ERROR=timeout or DAMAGE=cut_short lists clips
	python -m tools.ledger $(if $(ERROR),--error $(ERROR)) $(if $(DAMAGE),--damage $(DAMAGE))

retry: setup ## try failed clips again: make retry ERRORS="timeout connection" (none: what may pass; all)
	python -m tools.retry $(ERRORS)

deps: setup ## rewrite the .py files under deps in dvc.yaml from the stages' imports
	python -m tools.code_deps --write

bench: setup ## measure beside named peers, all or NAME="decode log_mel": wants an idle machine
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,bench]"
	python -m bench $(NAME)

clean: ## remove outs, scratch and .venv (the DVC cache stays)
	rm -rf data/clips data/decoded data/shards data/models data/embeddings data/attacks data/geometry scratch report .venv
