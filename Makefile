# setup, demo, test, lint, bench: everything runs in .venv, which `setup` makes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
PEERS  := .venv-peers

.PHONY: setup demo test lint bench bench-peers emulators
setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt tests/simulators.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement tests/simulators.txt
	touch $@

demo: setup
	$(BIN)/localspike demo

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal --durations=10

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Half an hour and more; leave the machine to it. The peers need `make bench-peers` first.
bench: setup
	$(BIN)/localspike bench train
	$(BIN)/localspike bench train --net mlp
	$(BIN)/localspike bench train --net recurrent
	$(BIN)/localspike bench train --net nmnist-conv
	$(BIN)/localspike bench memory
	$(BIN)/localspike bench stream
	$(BIN)/localspike bench scale
	$(BIN)/localspike bench passes
	test ! -x .venv-peers/bin/python || $(BIN)/localspike bench peers
	$(BIN)/python benchmarks/tables.py

# The libraries the benchmarks compare with, in an environment of their own.
bench-peers: $(PEERS)/.stamp

$(PEERS)/.stamp: constraints.txt benchmarks/peers/requirements.txt benchmarks/peers/libraries.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint constraints.txt --requirement benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/peers/libraries.txt
	touch $@

# Compilers and emulators of microcontrollers (Debian), for the tests of exported C; about 2.5 GB. Without
# them those tests are skipped by name.
EMULATORS := gcc-arm-none-eabi picolibc-arm-none-eabi qemu-system-arm \
	gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc
emulators:
	dpkg -s $(EMULATORS) >/dev/null 2>&1 || \
	{ export DEBIAN_FRONTEND=noninteractive; timeout 300 apt-get update -qq && timeout 900 apt-get install -qq -y --no-install-recommends $(EMULATORS) >/dev/null; }
