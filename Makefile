# Everything a person or a machine does with this repository. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CPU build of PyTorch, for exporting and testing only.
TORCH := torch==2.13.0

.DEFAULT_GOAL := help
.PHONY: help demo install test soak lint format bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## Make half a minute of music with the bundled model, and show it
	@mkdir -p out
	$(BIN)/lofi-daemon --backend demo --prompt "rainy night, rhodes, vinyl crackle" \
		--duration 30 --seed 42 --output out/demo.wav --picture out/demo.png

install: $(VENV)/.installed ## Install the daemon into .venv (what the Neovim plugin looks for)

test: $(VENV)/.test ## Run every test
	$(BIN)/python -m pytest

soak: $(VENV)/.test ## Run the long tests (hours)
	$(BIN)/python -m pytest -m soak

lint: $(VENV)/.test ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.test ## Put the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test ## Measure speed and memory (a quarter of an hour)
	$(BIN)/python -m benchmarks.ace_step

clean: ## Remove what the targets made
	rm -rf $(VENV) out build dist

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed
