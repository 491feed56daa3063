# Brownout: `make run` runs the Robot suites, `make test` all tests. Both install what is missing first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV    ?= .venv
BUILD   := $(CURDIR)/build
BIN     := $(CURDIR)/$(VENV)/bin
# A generous two workers: the suites start one emulator each, and CI has two cores.
WORKERS ?= 2
ENGINE  ?= qemu
# The factory's version and the one that suites upgrade to.
VERSIONS := 1.0.0 1.1.0
ROBOT_ARGS ?=
# What `make run` and `make report` compare with.
BASELINE ?= previous
PYTEST_ARGS ?=

export PATH := $(BIN):$(PATH)

.PHONY: help setup run report docs docs-test test lint format firmware sweep bench mutants clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## install Debian packages and the Python environment

$(VENV)/.installed: ci/setup.sh ci/constraints.txt pyproject.toml
	@VENV=$(VENV) ci/setup.sh
	@touch $@

$(VENV)/.test-tools: $(VENV)/.installed
	@VENV=$(VENV) ci/setup.sh tests
	@touch $@

firmware: setup ## build the reference firmware in both versions, a rogue app, and the nRF52840 example
	@for version in $(VERSIONS); do \
	    $(MAKE) --no-print-directory -j$(WORKERS) -C firmware VERSION=$$version OUT=$(BUILD)/firmware/$$version; done
	@$(MAKE) --no-print-directory -j$(WORKERS) -C firmware app APP_DIR=tests/rogue_app VERSION=6.6.6 \
	    OUT=$(BUILD)/firmware/rogue
	@$(MAKE) --no-print-directory -j$(WORKERS) -C examples/nrf52840-swap OUT=$(BUILD)/examples/nrf52840-swap

run: firmware ## run the Robot suites: build/report/report.html; what broke since the last run: build/regression/index.html
	@status=0; ci/run-suites $(ENGINE) $(BUILD)/report $(ROBOT_ARGS) || status=$$?; \
	    brownout results import $(BUILD)/report/output.xml --firmware $(BUILD)/firmware \
	        --command "make run$(if $(filter-out qemu,$(ENGINE)), ENGINE=$(ENGINE))"; \
	    brownout report --baseline $(BASELINE) --out $(BUILD)/regression || true; exit $$status

report: setup ## what broke since BASELINE (a git ref, or previous), from the results recorded so far
	@brownout report --baseline $(BASELINE) --out $(BUILD)/regression

test: firmware $(VENV)/.test-tools ## run every test
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

docs: setup ## build the documentation: build/docs/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-test: firmware ## run every command in the documentation, those too that take minutes
	@BROWNOUT_DOCS_LONG=1 $(BIN)/pytest -n $(WORKERS) --timeout 1900 harness/tests/docs

lint: setup ## run every linter and type checker
	@ci/lint

format: setup ## format Python, C and Robot sources
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .
	@git ls-files 'firmware/*.[ch]' 'examples/*.[ch]' 'docs/examples/*.[ch]' | xargs $(BIN)/clang-format -i

sweep: firmware ## cut the reference upgrade everywhere, its recoveries too, its download, then the nRF52840 example: build/sweep
	@mkdir -p $(BUILD)/sweep
	@$(BIN)/brownout sweep examples/reference/target.toml --depth 2 --jobs $(WORKERS) \
	    --json $(BUILD)/sweep/reference.json --html $(BUILD)/sweep/reference.html --evidence $(BUILD)/sweep/evidence/reference
	@$(BIN)/brownout sweep examples/reference/download.toml --points 40 \
	    --json $(BUILD)/sweep/reference-download.json --html $(BUILD)/sweep/reference-download.html
	@$(BIN)/brownout sweep examples/nrf52840-swap/target.toml --jobs $(WORKERS) \
	    --json $(BUILD)/sweep/nrf52840-swap.json --html $(BUILD)/sweep/nrf52840-swap.html \
	    --evidence $(BUILD)/sweep/evidence/nrf52840-swap

bench: firmware ## measure; prints a table and writes build/bench/bench.json
	@$(BIN)/brownout bench --output $(BUILD)/bench/bench.json

mutants: setup ## build each mutant and check that the suites, or the sweep, catch it
	@$(BIN)/python robot/tests/mutants.py --workers $(WORKERS)
	@$(BIN)/python examples/sweep_mutants.py --workers $(WORKERS)
	@$(BIN)/python examples/download_mutants.py

clean: ## remove what was built (not the environment)
	@rm -rf $(BUILD)
