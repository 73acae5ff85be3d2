# SPDX-License-Identifier: BSD-3-Clause
# The two commands of the README, and the rest of a developer's day. Everything real is in tools/ and meson.build.

BUILD ?= build
MESON_ARGS ?=

.PHONY: help all demo check test bench fuzz coverage demo-riscv check-nested install clean

help:
	@echo 'make demo          install what is missing, build, boot a stock Linux guest behind the unit, print a report'
	@echo 'make check         the same preparation, then every test'
	@echo 'make               build only (into ./$(BUILD); needs the packages make demo installs)'
	@echo 'make test          the host tests of the present build: no guests, no downloads'
	@echo 'make bench         every benchmark as a table; BENCH_ARGS=--json for machines'
	@echo 'make fuzz          the fuzzers, FUZZ_SECONDS each (default 300)'
	@echo 'make coverage      line coverage of lib/vtd by the test suite, per file'
	@echo 'make demo-riscv    boot OpenSBI and a stock Debian riscv64 kernel on the RV64 machine'
	@echo 'make check-nested  Linux and the DSA in a guest in a guest, and that guest copied at work (20 to 40 minutes)'
	@echo 'make install       install the library, headers, pkg-config file, the viommu command and its manual page'
	@echo 'NO_INSTALL=1 installs no packages: it names what is missing instead.'

.DEFAULT_GOAL := all
all:
	@tools/build "$(BUILD)" $(MESON_ARGS)

demo:
	@tools/demo

check:
	@tools/check

test: all
	@meson test -C "$(BUILD)" --no-suite guest --no-suite machine --print-errorlogs

bench: all
	@tools/bench "$(BUILD)" $(BENCH_ARGS)

fuzz:
	@tools/fuzz

coverage:
	@tools/coverage

demo-riscv:
	@tools/demo riscv

check-nested:
	@tools/check nested

install: all
	@meson install -C "$(BUILD)"

clean:
	rm -rf build build-*
