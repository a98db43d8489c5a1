# SPDX-License-Identifier: GPL-2.0
# All that can be done here; the logic is in scripts/. `make help` lists the targets.
#
# Variables: KERNELS   the kernels to build for and to test on, of test/kernels.yaml (default: to test on, those of Debian 12;
#                      all: all of them); debug and kcsan too
#            KREL, KDIR   another kernel than the one that runs to build for and to install for, and where its headers are
#            V=1       show the commands of the module's build
#            FUZZTIME, FUZZTIME_VM, FUZZSEED   for fuzz: scripts/fuzz explains
#            TIME, SEED   for hunt
#            RULES     for mutate: only those whose FILE:CODE matches
#            DESTDIR, PREFIX   for install
#            MAINTAINER   for package
#            MINUTES, KERNEL, SEED   for soak
#            ONLY, DO, KERNEL, JOBS   for corpus
#            BENCH     for bench: full, smoke, icount (RUNS too), many or boot (KERNEL too)
KERNELS ?=
V ?=
DESTDIR ?=
PREFIX ?= /usr/local
export KERNELS V DESTDIR PREFIX MAINTAINER MINUTES KERNEL SEED BENCH RUNS DO JOBS

.PHONY: all deps lpctl kmod check unit vm-test test-debug test-tree test fuzz hunt mutate soak bench demo corpus generate install package clean distclean help

all:		## build lpctl, and lpatch.ko for the kernel that runs, after installing what is missing (KERNELS="6.1 7.3" for others)
	@scripts/build

deps:		## install what building and testing need and this machine lacks (Debian 12; as root or by sudo)
	@scripts/deps

lpctl:		## build build/lpctl, after installing what it and lpctl build need
	@scripts/deps lpctl
	@scripts/go-build build/lpctl ./ctl/lpctl

kmod:		## build build/kmod/RELEASE/lpatch.ko for the kernels of the tests
	@scripts/deps build
	@scripts/build-kmod $(KERNELS)

check:		## check the sources: linters, generated files, warnings of the module's build
	@scripts/check

unit:		## run the tests that need no virtual machine
	@scripts/test unit

vm-test:	## run the tests in virtual machines
	@scripts/test vm

test-debug:	## run the test cases on the debug kernels: the gate for each change in kmod/ (an hour when emulated)
	@scripts/test debug

test-tree:	## put lpatch into the source of kernels, check it there, build them and run the test cases on them (hours)
	@scripts/test tree

test: deps	## run all tests, after installing what they need
	@scripts/test

fuzz:		## look for inputs that break a parser (30 s for each, FUZZTIME) or the module (3 min, FUZZTIME_VM)
	@scripts/fuzz

hunt:		## patch random programs with random changes, and look whether they do what the change means (TIME=10m SEED=)
	@LPATCH_HUNT_SEED=$(or $(SEED),$(shell date +%s)) LPATCH_HUNT_TIME=$(or $(TIME),10m) go test ./test/hunt -run TestHunt -count=1 -v -timeout 0

mutate:		## take the builder's rules out, one after another, and look whether a test fails (an hour; RULES='pkg/diff')
	@go run ./scripts/mutator -run '$(RULES)' -table Documentation/results/mutate.md pkg/diff pkg/match pkg/link pkg/build

soak:		## let many lpctl patch programs that check themselves, and kill both (MINUTES=30 KERNEL=6.12 SEED=)
	@scripts/soak

bench:		## measure how long programs are stopped, by lpatch and all other ways, in a virtual machine (KERNEL=6.12 BENCH=full)
	@scripts/bench

demo:		## show it: a security fix for a redis server, stock and under load, in a virtual machine
	@scripts/demo

corpus:		## patch real fixes of Debian 12 into its stock services, in virtual machines (hours; ONLY="redis curl", DO=missing)
	@scripts/corpus $(ONLY)

generate:	## make the generated files anew
	@scripts/generate

install:	## install lpctl, lpatch.ko for the running kernel, and what patches programs as the system boots
	@scripts/install

package:	## make packages of the same, the module as sources for DKMS: .deb and .rpm in build/packages
	@scripts/package

clean:		## remove what was built, but not what was downloaded
	rm -rf $(addprefix build/,check kmod tools guest-init lpctl man packages testreport vm-run aptsources made)

distclean:	## remove build/ altogether
	rm -rf build

help:		## show this
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
