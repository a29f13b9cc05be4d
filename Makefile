# posd: what a developer types. The Makefile only names and orders; what has logic is a test, or a script in tests/tools.
# Plain artefacts (what is packaged, shown and measured) are built in target/plain, without feature `sim`; simulators and
# tests in target/sim. The two never share a folder, so features do not mix.
.DEFAULT_GOAL := help
CARGO ?= cargo
DESTDIR ?=
PREFIX ?= /usr
# Seeds of `make sim`: so many make a million transactions.
SEEDS ?= 0..22000
PLAIN := target/plain
SIM := target/sim
export POSD_PLAIN := $(CURDIR)/$(PLAIN)/debug

N ?= 500
MINUTES ?= 1

.PHONY: help deps build simulators sim demo storm fuzz test check lint core suite machine nspawn-test vm-test check-paper \
    bench deb reproducible install clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

deps: ## install what is missing (apt; prints what it installs)
	@tests/tools/deps

build: deps ## posd and posctl as they are shipped, unoptimised
	$(CARGO) build --locked --target-dir $(PLAIN) --bin posd --bin posctl

simulators: deps
	$(CARGO) build --locked --target-dir $(SIM) --features sim --bin posd-sim

sim: deps ## long simulated days in which anything goes wrong: make sim SEEDS=0..22000
	$(CARGO) build --locked --profile dist --target-dir $(SIM) --features sim --bin posd-sim
	$(SIM)/dist/posd-sim worlds --seeds $(SEEDS)

demo: build simulators ## a day in a shop, from sign-on to settlement; receipts in demo-out/
	$(SIM)/debug/posd-sim demo --bin $(PLAIN)/debug --emv tests/data/emv.toml --out demo-out

storm: build simulators ## the daemon is killed N=500 times in mixed business; both ends are compared
	$(SIM)/debug/posd-sim storm --bin $(PLAIN)/debug --emv tests/data/emv.toml --kills $(N)

fuzz: deps ## bytes of chance against all readers, MINUTES=1 each; says what it needs
	tests/tools/fuzz $(MINUTES)

test: deps lint core build suite ## everything that CI runs

check: lint core ## format, lints, pure core, layers: under a minute when warm
	$(CARGO) test --locked --target-dir $(SIM) --features sim --test suite tidy::

lint:
	@tests/tools/lint

core: ## the pure core alone: no C library, no bus
	$(CARGO) check --locked --lib --no-default-features
	$(CARGO) test --locked --lib --no-default-features

suite: build machine
	$(CARGO) test --locked --target-dir $(SIM) --features sim

machine: build simulators
	@tests/tools/machine

nspawn-test: machine ## the packages in a booted container, as root; part of `make test`
	$(CARGO) test --locked --target-dir $(SIM) --features sim --test suite installed::

vm-test: machine ## whole machines in qemu, as root: sales, devices, 20 power cuts; not part of `make test`
	tests/tools/vm-test

check-paper: deps ## every slip on an independent printer emulator (Python 3.13); leaves src/docs/check-paper.md
	@tests/tools/check-paper

bench: deps ## counts and ratios, as a table; leaves src/docs/bench.md
	tests/tools/bench

reproducible: deps ## the packages twice, compared byte by byte; twenty minutes
	tests/tools/reproducible

deb: deps ## Debian packages, in the folder above this one: make deb ARCH=arm64
	tests/tools/deb $(ARCH)

install: ## install a release build below DESTDIR
	$(CARGO) build --locked --profile dist --bin posd --bin posctl
	tests/tools/install "$(DESTDIR)" "$(PREFIX)"

clean: ## remove what was built
	$(CARGO) clean
	rm -rf demo-out
