# Everything one types to work on posd. It only names and orders; what has logic is a test or a small script.
#
# Plain artefacts (what packages ship) are copied to target/plain, so that a later build with the simulators, which
# goes to the same cargo directory, cannot take their place.
CARGO  ?= cargo
PLAIN  := target/plain
SIM    := target/sim
DESTDIR ?=
PREFIX  ?= /usr

.PHONY: help deps build demo test check bench install clean deb fmt lint

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

deps: ## Install what is missing, by apt (prints what; asks sudo when not root)
	@.ci/deps

build: ## Build posd and posctl plain, and the simulators
	$(CARGO) build --locked --bin posd --bin posctl
	@install -d $(PLAIN) $(SIM)
	@install -m 755 target/debug/posd target/debug/posctl $(PLAIN)/
	$(CARGO) build --locked --features sim --bin posd-sim
	@install -m 755 target/debug/posd-sim $(SIM)/

demo: deps build ## Run a shop day against simulated card, host and printer
	@tests/demo/run

test: deps build fmt lint ## Everything that CI runs
	$(CARGO) check --locked --lib --no-default-features
	$(CARGO) test --locked --lib --no-default-features
	$(CARGO) test --locked --features sim

check: fmt lint ## The fast half: format, lints, pure tests, tidy
	$(CARGO) test --locked --lib --no-default-features
	$(CARGO) test --locked --features sim --test suite tidy::

fmt:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then $(CARGO) fmt --check; else echo "no rustfmt: format not checked"; fi

lint:
	@if $(CARGO) clippy --version >/dev/null 2>&1; \
	then $(CARGO) clippy --locked --features sim --all-targets -- -D warnings; \
	else echo "no clippy: lints not checked"; fi

bench: build ## Measure memory, start and the time from card to slip
	@tests/bench/run

install: ## Install into DESTDIR (build first: cargo build --profile dist --bin posd --bin posctl)
	install -D -m 755 target/dist/posd $(DESTDIR)$(PREFIX)/bin/posd
	install -D -m 755 target/dist/posctl $(DESTDIR)$(PREFIX)/bin/posctl
	install -D -m 644 systemd/posd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/posd.service
	install -D -m 644 systemd/posd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/posd.conf
	install -D -m 644 systemd/posd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/posd.conf
	install -D -m 644 udev/70-posd.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/70-posd.rules
	install -D -m 644 systemd/dbus/org.posd.Pos1.conf $(DESTDIR)$(PREFIX)/share/dbus-1/system.d/org.posd.Pos1.conf
	install -D -m 644 systemd/dbus/org.posd.Pos1.service \
		$(DESTDIR)$(PREFIX)/share/dbus-1/system-services/org.posd.Pos1.service
	install -D -m 644 systemd/dbus/org.posd.Pos1.xml $(DESTDIR)$(PREFIX)/share/dbus-1/interfaces/org.posd.Pos1.xml
	install -D -m 644 systemd/dbus/org.posd.Pos1.policy \
		$(DESTDIR)$(PREFIX)/share/polkit-1/actions/org.posd.Pos1.policy
	install -D -m 644 systemd/dbus/org.posd.Pos1.rules $(DESTDIR)$(PREFIX)/share/polkit-1/rules.d/org.posd.Pos1.rules
	install -D -m 644 systemd/posd-access.rules $(DESTDIR)$(PREFIX)/share/polkit-1/rules.d/posd-access.rules
	install -D -m 644 debian/man/posctl.1 $(DESTDIR)$(PREFIX)/share/man/man1/posctl.1
	install -D -m 644 debian/man/posd.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/posd.toml.5
	install -D -m 644 debian/man/posd.8 $(DESTDIR)$(PREFIX)/share/man/man8/posd.8
	test -e $(DESTDIR)/etc/posd/posd.toml || install -D -m 644 debian/posd.toml $(DESTDIR)/etc/posd/posd.toml
	test -e $(DESTDIR)/etc/posd/emv.toml || install -D -m 644 debian/emv.toml $(DESTDIR)/etc/posd/emv.toml

deb: ## Build the Debian package (binary only, unsigned)
	@# A toolchain that apt does not know (rustup) cannot satisfy Build-Depends; -d says so.
	dpkg-buildpackage -b -us -uc $(if $(shell dpkg-query -S "$$(readlink -f "$$(command -v cargo)")" 2>/dev/null),,-d)

clean: ## Remove everything that was built
	$(CARGO) clean
