# Every target prepares what it needs by itself; see `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TOOLS := tests/tools

.PHONY: help setup demo docs test lint sanity unit engine integration molecule benchmark images release clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## prepare this machine: packages, .venv, collections, Docker daemon
	@$(TOOLS)/setup

demo: ## deploy a site, back it up, destroy it, restore it, prove it is the same (MOODLE_IMAGE=name for your own image)
	@$(TOOLS)/setup
	@$(TOOLS)/run $(TOOLS)/demo

docs: ## build the documentation as a web site, into .docs/html
	@$(TOOLS)/setup tools
	@$(TOOLS)/docs

test: ## everything below, from lint to molecule; ends with "N passed, M failed"
	@$(TOOLS)/test

lint: ## linters
	@$(TOOLS)/setup tools
	@$(TOOLS)/lint

sanity: ## ansible-test sanity
	@$(TOOLS)/setup tools
	@$(TOOLS)/sanity

unit: ## unit tests, no Docker needed
	@$(TOOLS)/setup tools
	@$(TOOLS)/unit

engine: ## tests of module_utils against the Docker engine
	@$(TOOLS)/setup
	@$(TOOLS)/run tests/images/build --all
	@$(TOOLS)/engine

integration: ## integration targets, a module each (TARGET=name for one)
	@$(TOOLS)/setup
	@$(TOOLS)/run tests/images/build --all
	@$(TOOLS)/integration $(TARGET)

molecule: ## Molecule scenarios, a promise each (SCENARIO=name for one)
	@$(TOOLS)/setup
	@$(TOOLS)/run tests/images/build --all
	@$(TOOLS)/molecule $(SCENARIO)

images: ## build all test images from Debian packages
	@$(TOOLS)/setup
	@$(TOOLS)/run tests/images/build --all

benchmark: ## compare with other ways of backing up, and see how cost grows (ARGS="--scale 0.05" for a quick look)
	@$(TOOLS)/setup
	@$(TOOLS)/run tests/images/build moodle:latest postgresql:15 host:latest
	@$(TOOLS)/run benchmarks/run $(ARGS)
	@$(TOOLS)/run benchmarks/run --growth $(GROWTH_ARGS)
	@$(TOOLS)/run benchmarks/run --fleet $(FLEET_ARGS)

release: ## check that version, changelog and tag agree, and build the archive in dist/; publishes nothing
	@$(TOOLS)/setup tools
	@$(TOOLS)/run $(TOOLS)/release build

clean: ## remove what the targets above made in the checkout
	@$(TOOLS)/clean
